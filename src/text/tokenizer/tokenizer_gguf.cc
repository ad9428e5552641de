#include "text/tokenizer/tokenizer_gguf.h"

#include <algorithm>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "format/quote.h"
#include "text/tokenizer/gguf_pretokenizers.h"

namespace kakeya {
namespace {

constexpr char kTokens[] = "tokenizer.ggml.tokens";
constexpr char kTypes[] = "tokenizer.ggml.token_type";
constexpr char kMerges[] = "tokenizer.ggml.merges";

constexpr char kPre[] = "tokenizer.ggml.pre";

class TokenizerReader {
 public:
  explicit TokenizerReader(const GgufFile& file) : file_(file) {}

  Result<std::unique_ptr<const TokenizerParts>> Read() {
    KAKEYA_ASSIGN_OR_RETURN(const GgufRecipe* recipe, FindRecipe());
    if (recipe->nfc) parts_->normalizer = Normalizer::Nfc();
    parts_->ignore_merges = recipe->ignore_merges;
    KAKEYA_ASSIGN_OR_RETURN(parts_->pre_tokenizer, PreTokenizer::Parse(PreTokenizerSpec(*recipe)));
    KAKEYA_RETURN_IF_ERROR(ReadTokens());
    KAKEYA_ASSIGN_OR_RETURN(std::vector<BpeMerge> merges, ReadMerges());
    const auto byte_ids = FindByteIds(parts_->table, std::nullopt, /*all_needed=*/false);
    if (!byte_ids.ok()) return InFile(byte_ids.status().WithContext(kTokens));
    KAKEYA_RETURN_IF_ERROR(InFile(IndexAddedTokens(parts_.get())));
    BuildBpe(*byte_ids, std::move(merges), parts_.get());
    KAKEYA_RETURN_IF_ERROR(ReadEnd("bos", recipe->add_bos, &parts_->prefix_ids));
    KAKEYA_RETURN_IF_ERROR(ReadEnd("eos", false, &parts_->suffix_ids));
    return std::unique_ptr<const TokenizerParts>(std::move(parts_));
  }

 private:
  Status InFile(const Status& status) const { return status.WithContext(file_.file().path()); }

  Result<const GgufRecipe*> FindRecipe() {
    KAKEYA_ASSIGN_OR_RETURN(const auto model, file_.GetString("tokenizer.ggml.model"));
    if (!model || *model == "none" || *model == "no_vocab") {
      return InFile(NotFound("the file has no tokenizer: only --ids works"));
    }
    if (*model != "gpt2") {
      return InFile(
          Unsupported("tokenizer.ggml.model {}{} is not supported (only gpt2 is): only --ids works",
                      Quoted(*model, 40), *model == "llama" ? " (SentencePiece)" : ""));
    }
    KAKEYA_ASSIGN_OR_RETURN(const auto pre, file_.GetString(kPre));
    if (!pre) {
      parts_->notes.push_back(fmt::format(
          "{}: key '{}' is missing: text is cut into words by default rules, which may not be the "
          "model's own",
          file_.file().path(), kPre));
    }
    const GgufRecipe* recipe = FindGgufRecipe(pre.value_or("default"));
    if (recipe == nullptr) {
      return InFile(
          Unsupported("{} {} is not supported: only --ids works", kPre, Quoted(*pre, 40)));
    }
    return recipe;
  }

  // What kind each token is; all normal where the file doesn't say.
  Result<std::vector<int64_t>> ReadTypes(size_t count) const {
    KAKEYA_ASSIGN_OR_RETURN(auto types, file_.GetIntegers(kTypes));
    if (!types) return std::vector<int64_t>(count, kGgufNormal);
    if (types->size() != count) {
      return InFile(
          Corrupt("'{}' has {} entries, but '{}' has {}", kTypes, types->size(), kTokens, count));
    }
    for (size_t i = 0; i < count; ++i) {
      if ((*types)[i] < kGgufNormal || (*types)[i] > kGgufUnused) {
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
      if (types[i] == kGgufUnused) continue;
      const Status status = AddToken((*tokens)[i], types[i], static_cast<int32_t>(i));
      if (!status.ok()) return InFile(status.WithContext(fmt::format("{}[{}]", kTokens, i)));
    }
    return OkStatus();
  }

  Status AddToken(const std::string& spelling, int64_t type, int32_t id) {
    if (const auto known = parts_->table.IdOfSpelling(spelling); known.has_value()) {
      return Corrupt("{} has id {} already", Quoted(spelling), *known);
    }
    if (type != kGgufControl && type != kGgufUserDefined) return parts_->table.Add(spelling, id);
    if (spelling.empty() || spelling.size() > kMaxAddedTokenBytes) {
      return Corrupt("a token of {} bytes, must lie in [1, {}]", spelling.size(),
                     kMaxAddedTokenBytes);
    }
    KAKEYA_RETURN_IF_ERROR(parts_->table.AddOutside(spelling, id));
    parts_->added.push_back({.content = spelling, .id = id, .special = type == kGgufControl});
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
