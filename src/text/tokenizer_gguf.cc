#include "text/tokenizer_gguf.h"

#include <algorithm>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "format/quote.h"

namespace kakeya {
namespace {

constexpr char kTokens[] = "tokenizer.ggml.tokens";
constexpr char kTypes[] = "tokenizer.ggml.token_type";
constexpr char kMerges[] = "tokenizer.ggml.merges";

// ggml's token types.
enum TokenType : int64_t { kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kUnused = 5 };

// Words are cut by a regex of the model itself, or by GPT-2's, which ByteLevel has built in.
constexpr char kQwen2Words[] =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*)"
    R"(|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr char kLlama3Words[] =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*)"
    R"(|\s*[\r\n]+|\s+(?!\S)|\s+)";

// What a value of tokenizer.ggml.pre stands for.
struct Recipe {
  std::string_view pre;
  const char* words;   // the regex; null: GPT-2's
  bool digits;         // every digit is a word
  bool nfc;            // the model's own tokenizer normalises
  bool ignore_merges;  // a word that is a token is taken whole
  bool add_bos;        // where tokenizer.ggml.add_bos_token says nothing
};
constexpr Recipe kRecipes[] = {
    {"qwen2", kQwen2Words, false, true, false, false},
    {"deepseek-r1-qwen", kQwen2Words, false, false, false, false},
    {"llama-bpe", kLlama3Words, false, false, true, true},
    {"llama3", kLlama3Words, false, false, true, true},
    {"llama-v3", kLlama3Words, false, false, true, true},
    {"smollm", nullptr, true, false, false, false},
    {"gpt-2", nullptr, false, false, false, false},
};
constexpr char kSupported[] =
    "supported: tokenizer.ggml.model gpt2 with tokenizer.ggml.pre qwen2, llama-bpe, smollm or "
    "gpt-2";

Json PreTokenizerSpec(const Recipe& recipe) {
  Json steps = Json::array();
  if (recipe.digits) steps.push_back({{"type", "Digits"}, {"individual_digits", true}});
  if (recipe.words != nullptr) {
    steps.push_back({{"type", "Split"},
                     {"pattern", {{"Regex", recipe.words}}},
                     {"behavior", "Isolated"},
                     {"invert", false}});
  }
  steps.push_back(
      {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", recipe.words == nullptr}});
  return {{"type", "Sequence"}, {"pretokenizers", steps}};
}

class TokenizerReader {
 public:
  explicit TokenizerReader(const GgufFile& file) : file_(file) {}

  Result<std::unique_ptr<const TokenizerParts>> Read() {
    KAKEYA_ASSIGN_OR_RETURN(const Recipe* recipe, FindRecipe());
    parts_->nfc = recipe->nfc;
    parts_->ignore_merges = recipe->ignore_merges;
    KAKEYA_ASSIGN_OR_RETURN(parts_->pre_tokenizer, PreTokenizer::Parse(PreTokenizerSpec(*recipe)));
    KAKEYA_RETURN_IF_ERROR(ReadTokens());
    KAKEYA_ASSIGN_OR_RETURN(std::vector<BpeMerge> merges, ReadMerges());
    const auto byte_ids = FindByteIds(parts_->table, std::nullopt, /*all_needed=*/false);
    if (!byte_ids.ok()) return InFile(byte_ids.status().WithContext(kTokens));
    IndexAddedTokens(parts_.get());
    BuildBpe(*byte_ids, std::move(merges), parts_.get());
    KAKEYA_RETURN_IF_ERROR(ReadEnd("bos", recipe->add_bos, &parts_->prefix_ids));
    KAKEYA_RETURN_IF_ERROR(ReadEnd("eos", false, &parts_->suffix_ids));
    return std::unique_ptr<const TokenizerParts>(std::move(parts_));
  }

 private:
  Status InFile(const Status& status) const { return status.WithContext(file_.file().path()); }

  Result<const Recipe*> FindRecipe() const {
    KAKEYA_ASSIGN_OR_RETURN(const auto model, file_.GetString("tokenizer.ggml.model"));
    if (!model || *model == "none" || *model == "no_vocab") {
      return InFile(NotFound("the file has no tokenizer: only --ids works"));
    }
    if (*model != "gpt2") {
      return InFile(Unsupported("tokenizer.ggml.model {}{} is not supported ({}): only --ids works",
                                Quoted(*model, 40), *model == "llama" ? " (SentencePiece)" : "",
                                kSupported));
    }
    KAKEYA_ASSIGN_OR_RETURN(const auto pre, file_.GetString("tokenizer.ggml.pre"));
    const auto* recipe = std::find_if(std::begin(kRecipes), std::end(kRecipes),
                                      [&](const Recipe& r) { return pre == r.pre; });
    if (recipe != std::end(kRecipes)) return recipe;
    return InFile(Unsupported("tokenizer.ggml.pre {} is not supported ({}): only --ids works",
                              pre ? Quoted(*pre, 40) : "is missing, which", kSupported));
  }

  // What kind each token is; all normal where the file doesn't say.
  Result<std::vector<int64_t>> ReadTypes(size_t count) const {
    KAKEYA_ASSIGN_OR_RETURN(auto types, file_.GetIntegers(kTypes));
    if (!types) return std::vector<int64_t>(count, kNormal);
    if (types->size() != count) {
      return InFile(
          Corrupt("'{}' has {} entries, but '{}' has {}", kTypes, types->size(), kTokens, count));
    }
    for (size_t i = 0; i < count; ++i) {
      if ((*types)[i] < kNormal || (*types)[i] > kUnused) {
        return InFile(
            Unsupported("{}[{}] is {}, not one of the types 1 to 5 of a byte-level "
                        "vocabulary",
                        kTypes, i, (*types)[i]));
      }
    }
    return *std::move(types);
  }

  // Byte-level BPE needs no scores; a file that has some has one per token.
  Status CheckScores(size_t count) const {
    constexpr char kScores[] = "tokenizer.ggml.scores";
    KAKEYA_ASSIGN_OR_RETURN(const auto scores, file_.GetFloats(kScores));
    if (!scores || scores->size() == count) return OkStatus();
    return InFile(
        Corrupt("'{}' has {} entries, but '{}' has {}", kScores, scores->size(), kTokens, count));
  }

  Status ReadTokens() {
    KAKEYA_ASSIGN_OR_RETURN(const auto tokens, file_.GetStrings(kTokens));
    if (!tokens) return InFile(Corrupt("key '{}' is missing", kTokens));
    if (tokens->size() > static_cast<size_t>(kMaxTokenId) + 1) {
      return InFile(Unsupported("'{}' has {} tokens, more than {}", kTokens, tokens->size(),
                                kMaxTokenId + 1));
    }
    KAKEYA_ASSIGN_OR_RETURN(const std::vector<int64_t> types, ReadTypes(tokens->size()));
    KAKEYA_RETURN_IF_ERROR(CheckScores(tokens->size()));
    parts_->table.Reserve(tokens->size(), tokens->size());
    for (size_t i = 0; i < tokens->size(); ++i) {
      if (types[i] == kUnused) continue;
      const Status status = AddToken((*tokens)[i], types[i], static_cast<int32_t>(i));
      if (!status.ok()) return InFile(status.WithContext(fmt::format("{}[{}]", kTokens, i)));
    }
    return OkStatus();
  }

  Status AddToken(const std::string& spelling, int64_t type, int32_t id) {
    if (const auto known = parts_->table.IdOfSpelling(spelling); known.has_value()) {
      return Corrupt("{} has id {} already", Quoted(spelling), *known);
    }
    if (type != kControl && type != kUserDefined) return parts_->table.Add(spelling, id);
    if (spelling.empty() || spelling.size() > kMaxAddedTokenBytes) {
      return Corrupt("a token of {} bytes, must lie in [1, {}]", spelling.size(),
                     kMaxAddedTokenBytes);
    }
    KAKEYA_RETURN_IF_ERROR(parts_->table.AddOutside(spelling, id));
    parts_->added.push_back({.content = spelling, .id = id, .special = type == kControl});
    return OkStatus();
  }

  Result<std::vector<BpeMerge>> ReadMerges() const {
    KAKEYA_ASSIGN_OR_RETURN(const auto lines, file_.GetStrings(kMerges));
    if (!lines) return InFile(Corrupt("key '{}' is missing", kMerges));
    std::vector<BpeMerge> merges;
    merges.reserve(lines->size());
    for (size_t i = 0; i < lines->size(); ++i) {
      const Result<BpeMerge> merge = ParseMergeLine((*lines)[i], parts_->table);
      if (!merge.ok()) {
        return InFile(merge.status().WithContext(fmt::format("{}[{}]", kMerges, i)));
      }
      merges.push_back(*merge);
    }
    return merges;
  }

  // The token that goes before ("bos") or behind ("eos") every text, if one does.
  Status ReadEnd(const char* name, bool by_default, std::vector<int32_t>* ids) const {
    const std::string id_key = fmt::format("tokenizer.ggml.{}_token_id", name);
    const std::string add_key = fmt::format("tokenizer.ggml.add_{}_token", name);
    KAKEYA_ASSIGN_OR_RETURN(const auto add, file_.GetBool(add_key));
    KAKEYA_ASSIGN_OR_RETURN(const auto id, file_.GetUnsigned(id_key));
    if (!add.value_or(by_default)) return OkStatus();
    if (!id) {
      if (!add) return OkStatus();
      return InFile(Corrupt("key '{}' is true, but '{}' is missing", add_key, id_key));
    }
    if (*id > static_cast<uint64_t>(kMaxTokenId) || !parts_->table.Has(static_cast<int32_t>(*id))) {
      return InFile(Corrupt("key '{}' is {}, which has no token", id_key, *id));
    }
    ids->push_back(static_cast<int32_t>(*id));
    return OkStatus();
  }

  const GgufFile& file_;
  std::unique_ptr<TokenizerParts> parts_ = std::make_unique<TokenizerParts>();
};

}  // namespace

Result<std::unique_ptr<const TokenizerParts>> ParseGgufTokenizer(const GgufFile& file) {
  auto parts = TokenizerReader(file).Read();
  KAKEYA_RETURN_IF_ERROR(file.file().CheckIntact());  // what a changed file says is worth nothing
  return parts;
}

}  // namespace kakeya
