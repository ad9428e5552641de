#include "text/tokenizer/tokenizer_config.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "format/quote.h"

namespace kakeya {
namespace {

Result<bool> FlagOr(const Json& object, const char* key, bool absent) {
  KAKEYA_ASSIGN_OR_RETURN(const auto flag, FindBool(object, key));
  return flag.value_or(absent);
}

// The members of a Sequence, or the one part that isn't a Sequence.
Result<std::vector<const Json*>> PartsOf(const Json& spec, const char* list_key) {
  KAKEYA_ASSIGN_OR_RETURN(const std::string type, GetString(spec, "type"));
  if (type != "Sequence") return std::vector<const Json*>{&spec};
  KAKEYA_ASSIGN_OR_RETURN(const Json* list, FindArray(spec, list_key));
  if (list == nullptr) return Corrupt("key '{}' is missing", list_key);
  std::vector<const Json*> parts;
  for (const Json& item : *list) {
    KAKEYA_ASSIGN_OR_RETURN(const auto nested, PartsOf(item, list_key));
    parts.insert(parts.end(), nested.begin(), nested.end());
  }
  return parts;
}

Status CheckDecoder(const Json& spec) {
  KAKEYA_ASSIGN_OR_RETURN(const auto steps, PartsOf(spec, "decoders"));
  bool byte_level = false;
  for (const Json* step : steps) {
    KAKEYA_ASSIGN_OR_RETURN(const std::string type, GetString(*step, "type"));
    const bool first = !byte_level && type == "ByteLevel";
    // Fuse joins what ByteLevel has joined already.
    if (!first && !(byte_level && type == "Fuse")) {
      return Unsupported("type {} is not supported here", Quoted(type));
    }
    byte_level = true;
  }
  return byte_level ? OkStatus() : Unsupported("no ByteLevel");
}

// --- model ---------------------------------------------------------------------------------------

Status CheckModelKind(const Json& model) {
  KAKEYA_ASSIGN_OR_RETURN(const auto type, FindString(model, "type"));
  if (type.value_or("BPE") != "BPE") {
    return Unsupported("type {} is not supported (byte-level BPE only)", Quoted(*type));
  }
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    KAKEYA_ASSIGN_OR_RETURN(const auto affix, FindString(model, key));
    if (!affix.value_or("").empty()) return Unsupported("key '{}' is not supported", key);
  }
  KAKEYA_ASSIGN_OR_RETURN(const auto dropout, FindDouble(model, "dropout", 0, 1));
  if (dropout.value_or(0) != 0) return Unsupported("key 'dropout' is not supported");
  return OkStatus();
}

Status CheckId(int64_t id, size_t token_count) {
  const int64_t largest = LargestAllowedId(token_count);
  if (id < 0 || id > largest) {
    return Corrupt("id {} must lie in [0, {}] ({} tokens)", id, largest, token_count);
  }
  return OkStatus();
}

Result<int32_t> TokenId(const Json& value, size_t token_count) {
  if (!value.is_number_integer()) return Corrupt("id must be an integer, is {}", value.type_name());
  // Unsigned values beyond int64 read as such would wrap to negative ones, which are refused too.
  const auto id = value.get<int64_t>();
  KAKEYA_RETURN_IF_ERROR(CheckId(id, token_count));
  return static_cast<int32_t>(id);
}

Status ParseVocab(const Json& vocab, size_t token_count, TokenTable* table) {
  std::vector<int32_t> ids;
  ids.reserve(vocab.size());
  int32_t end = 0;
  for (const auto& [spelling, value] : vocab.items()) {
    const Result<int32_t> id = TokenId(value, token_count);
    if (!id.ok()) return id.status().WithContext("token " + Quoted(spelling));
    ids.push_back(*id);
    end = std::max(end, *id + 1);
  }
  table->Reserve(vocab.size(), static_cast<size_t>(end));
  size_t i = 0;
  for (const auto& [spelling, value] : vocab.items()) {
    KAKEYA_RETURN_IF_ERROR(table->Add(spelling, ids[i++]));
  }
  return OkStatus();
}

// "a b" or ["a", "b"].
Result<BpeMerge> ParseMerge(const Json& merge, const TokenTable& table) {
  if (merge.is_string()) return ParseMergeLine(merge.get_ref<const std::string&>(), table);
  if (!merge.is_array() || merge.size() != 2 || !merge[0].is_string() || !merge[1].is_string()) {
    return Corrupt("not a pair of tokens");
  }
  return MergeOf(merge[0].get_ref<const std::string&>(), merge[1].get_ref<const std::string&>(),
                 table);
}

// A byte without a token becomes the model's unk_token.
Result<std::array<int32_t, 256>> ByteIds(const Json& model, const TokenTable& table) {
  KAKEYA_ASSIGN_OR_RETURN(const auto unk_token, FindString(model, "unk_token"));
  const std::optional<int32_t> unk = unk_token ? table.IdOfSpelling(*unk_token) : std::nullopt;
  KAKEYA_ASSIGN_OR_RETURN(const bool fuse_unk, FlagOr(model, "fuse_unk", false));
  KAKEYA_ASSIGN_OR_RETURN(const bool byte_fallback, FlagOr(model, "byte_fallback", false));
  return FindByteIds(table, unk, byte_fallback || (unk && fuse_unk));
}

Result<std::vector<BpeMerge>> ParseMerges(const Json& list, const TokenTable& table) {
  std::vector<BpeMerge> merges;
  merges.reserve(list.size());
  for (size_t i = 0; i < list.size(); ++i) {
    // A comment that old files took over from merges.txt.
    if (list[i].is_string() && list[i].get_ref<const std::string&>().starts_with("#version")) {
      continue;
    }
    const Result<BpeMerge> merge = ParseMerge(list[i], table);
    if (!merge.ok()) return merge.status().WithContext(fmt::format("merges[{}]", i));
    merges.push_back(*merge);
  }
  return merges;
}

// --- added tokens --------------------------------------------------------------------------------

Result<AddedToken> ParseAddedToken(const Json& spec, size_t token_count) {
  AddedToken token;
  KAKEYA_ASSIGN_OR_RETURN(token.content, GetString(spec, "content"));
  if (token.content.empty() || token.content.size() > kMaxAddedTokenBytes) {
    return Corrupt("content of {} bytes, must lie in [1, {}]", token.content.size(),
                   kMaxAddedTokenBytes);
  }
  KAKEYA_ASSIGN_OR_RETURN(const int64_t id, GetInt(spec, "id", 0, kMaxTokenId));
  KAKEYA_RETURN_IF_ERROR(CheckId(id, token_count));
  token.id = static_cast<int32_t>(id);
  KAKEYA_ASSIGN_OR_RETURN(token.special, FlagOr(spec, "special", false));
  KAKEYA_ASSIGN_OR_RETURN(token.single_word, FlagOr(spec, "single_word", false));
  KAKEYA_ASSIGN_OR_RETURN(token.lstrip, FlagOr(spec, "lstrip", false));
  KAKEYA_ASSIGN_OR_RETURN(token.rstrip, FlagOr(spec, "rstrip", false));
  KAKEYA_ASSIGN_OR_RETURN(token.normalized, FlagOr(spec, "normalized", !token.special));
  return token;
}

// Gives the token its place in the table, or checks the place that it has there.
Status Register(const AddedToken& token, std::vector<bool>* listed, TokenTable* table) {
  const auto known = table->IdOfSpelling(token.content);
  if (known.has_value() && *known != token.id) {
    return Corrupt("{} has id {}, but also id {}", Quoted(token.content), token.id, *known);
  }
  if (!known.has_value()) KAKEYA_RETURN_IF_ERROR(table->AddOutside(token.content, token.id));
  const auto index = static_cast<size_t>(token.id);
  if (index >= listed->size()) listed->resize(index + 1);
  if ((*listed)[index]) return Corrupt("{} is listed twice", Quoted(token.content));
  (*listed)[index] = true;
  return OkStatus();
}

Status ParseAddedTokens(const Json& list, size_t token_count, TokenizerParts* parts) {
  std::vector<bool> listed;
  parts->added.reserve(list.size());
  for (size_t i = 0; i < list.size(); ++i) {
    const std::string where = fmt::format("added_tokens[{}]", i);
    Result<AddedToken> token = ParseAddedToken(list[i], token_count);
    if (!token.ok()) return token.status().WithContext(where);
    KAKEYA_RETURN_IF_ERROR(Register(*token, &listed, &parts->table).WithContext(where));
    parts->added.push_back(*std::move(token));
  }
  return IndexAddedTokens(parts).WithContext("added_tokens");
}

// --- post-processor ------------------------------------------------------------------------------

// The ids of a template's special token: "special_tokens": {name: {"ids": [...]}}.
Result<std::vector<int32_t>> TemplateIds(const Json& special_tokens, const std::string& name,
                                         const TokenTable& table) {
  const auto it = special_tokens.find(name);
  if (it == special_tokens.end()) return Corrupt("special token {} is not defined", Quoted(name));
  KAKEYA_ASSIGN_OR_RETURN(const Json* list, FindArray(*it, "ids"));
  if (list == nullptr) return Corrupt("special token {}: key 'ids' is missing", Quoted(name));
  std::vector<int32_t> ids;
  for (const Json& value : *list) {
    const bool fits = value.is_number_integer() && value.get<int64_t>() >= 0 &&
                      value.get<int64_t>() < table.end_id();
    if (!fits || !table.Has(static_cast<int32_t>(value.get<int64_t>()))) {
      return Corrupt("special token {}: id {} has no token", Quoted(name),
                     Printable(value.dump(-1, ' ', true), 40));
    }
    ids.push_back(value.get<int32_t>());
  }
  return ids;
}

// What a template adds goes around what is there already.
Status ParseTemplate(const Json& spec, TokenizerParts* parts) {
  KAKEYA_ASSIGN_OR_RETURN(const Json* pieces, FindArray(spec, "single"));
  if (pieces == nullptr) return Corrupt("key 'single' is missing");
  KAKEYA_ASSIGN_OR_RETURN(const Json* special_tokens, FindObject(spec, "special_tokens"));
  const Json none = Json::object();
  if (special_tokens == nullptr) special_tokens = &none;
  std::vector<int32_t> around[2];  // before and behind the text
  bool seen_text = false;
  for (const Json& piece : *pieces) {
    KAKEYA_ASSIGN_OR_RETURN(const Json* special, FindObject(piece, "SpecialToken"));
    if (special != nullptr) {
      KAKEYA_ASSIGN_OR_RETURN(const std::string name, GetString(*special, "id"));
      KAKEYA_ASSIGN_OR_RETURN(const auto ids, TemplateIds(*special_tokens, name, parts->table));
      auto& side = around[seen_text ? 1 : 0];
      side.insert(side.end(), ids.begin(), ids.end());
      continue;
    }
    KAKEYA_ASSIGN_OR_RETURN(const Json* sequence, FindObject(piece, "Sequence"));
    if (sequence == nullptr) return Corrupt("'single' holds neither SpecialToken nor Sequence");
    if (seen_text) return Unsupported("'single' holds the text twice");
    seen_text = true;
  }
  if (!seen_text) return Unsupported("'single' doesn't hold the text");
  parts->prefix_ids.insert(parts->prefix_ids.begin(), around[0].begin(), around[0].end());
  parts->suffix_ids.insert(parts->suffix_ids.end(), around[1].begin(), around[1].end());
  return OkStatus();
}

Status ParsePostProcessor(const Json& spec, TokenizerParts* parts) {
  KAKEYA_ASSIGN_OR_RETURN(const auto steps, PartsOf(spec, "processors"));
  for (const Json* step : steps) {
    KAKEYA_ASSIGN_OR_RETURN(const std::string type, GetString(*step, "type"));
    if (type == "ByteLevel") continue;  // trims offsets, which we don't report
    if (type != "TemplateProcessing") return Unsupported("type {} is not supported", Quoted(type));
    KAKEYA_RETURN_IF_ERROR(ParseTemplate(*step, parts));
  }
  return OkStatus();
}

Status ParseModel(const Json& model, const Json& added_tokens, TokenizerParts* parts) {
  KAKEYA_RETURN_IF_ERROR(CheckModelKind(model).WithContext("model"));
  Result<const Json*> vocab = FindObject(model, "vocab");
  Result<const Json*> merges = FindArray(model, "merges");
  if (!vocab.ok()) return vocab.status().WithContext("model");
  if (!merges.ok()) return merges.status().WithContext("model");
  if (*vocab == nullptr) return Corrupt("model: key 'vocab' is missing");
  if (*merges == nullptr) return Corrupt("model: key 'merges' is missing");
  Result<bool> ignore_merges = FlagOr(model, "ignore_merges", false);
  if (!ignore_merges.ok()) return ignore_merges.status().WithContext("model");
  parts->ignore_merges = *ignore_merges;
  const size_t token_count = (*vocab)->size() + added_tokens.size();
  KAKEYA_RETURN_IF_ERROR(
      ParseVocab(**vocab, token_count, &parts->table).WithContext("model.vocab"));
  auto merge_list = ParseMerges(**merges, parts->table);
  if (!merge_list.ok()) return merge_list.status().WithContext("model");
  const auto byte_ids = ByteIds(model, parts->table);
  if (!byte_ids.ok()) return byte_ids.status().WithContext("model.vocab");
  KAKEYA_RETURN_IF_ERROR(ParseAddedTokens(added_tokens, token_count, parts));
  BuildBpe(*byte_ids, *std::move(merge_list), parts);
  return OkStatus();
}

}  // namespace

Result<std::unique_ptr<const TokenizerParts>> ParseTokenizerJson(const Json& file) {
  auto parts = std::make_unique<TokenizerParts>();
  KAKEYA_ASSIGN_OR_RETURN(const Json* model, FindObject(file, "model"));
  if (model == nullptr) return Corrupt("key 'model' is missing");
  KAKEYA_ASSIGN_OR_RETURN(const Json* added, FindArray(file, "added_tokens"));
  const Json none = Json::array();
  KAKEYA_ASSIGN_OR_RETURN(const Json* normalizer, FindObject(file, "normalizer"));
  KAKEYA_ASSIGN_OR_RETURN(const Json* pre_tokenizer, FindObject(file, "pre_tokenizer"));
  KAKEYA_ASSIGN_OR_RETURN(const Json* post, FindObject(file, "post_processor"));
  KAKEYA_ASSIGN_OR_RETURN(const Json* decoder, FindObject(file, "decoder"));
  if (normalizer != nullptr) {
    KAKEYA_ASSIGN_OR_RETURN(parts->normalizer, Normalizer::Parse(*normalizer));
  }
  // Behind the normalizer: added tokens are normalized too.
  KAKEYA_RETURN_IF_ERROR(ParseModel(*model, added == nullptr ? none : *added, parts.get()));
  const Json absent;
  KAKEYA_ASSIGN_OR_RETURN(parts->pre_tokenizer,
                          PreTokenizer::Parse(pre_tokenizer == nullptr ? absent : *pre_tokenizer));
  if (post != nullptr) {
    KAKEYA_RETURN_IF_ERROR(ParsePostProcessor(*post, parts.get()).WithContext("post_processor"));
  }
  // Without a decoder HF shows the tokens' spellings; they are byte-level all the same.
  if (decoder != nullptr) {
    KAKEYA_RETURN_IF_ERROR(CheckDecoder(*decoder).WithContext("decoder"));
  }
  return std::unique_ptr<const TokenizerParts>(std::move(parts));
}

}  // namespace kakeya
