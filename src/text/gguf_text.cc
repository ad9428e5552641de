#include "text/gguf_text.h"

#include <algorithm>
#include <filesystem>
#include <memory>
#include <utility>

#include "format/json.h"
#include "format/quote.h"
#include "text/chat_template.h"
#include "text/model_text.h"
#include "text/tokenizer/gguf_pretokenizers.h"
#include "text/tokenizer/tokenizer_config.h"
#include "text/tokenizer/tokenizer_parts.h"

namespace kakeya {
namespace {

// Appends the steps of a pre_tokenizer with their defaults filled in and what changes no word left
// out, so that two that do the same compare equal. REQUIRES: it has been parsed.
void AppendSteps(const Json& spec, Json* steps) {
  const auto flag = [&](const char* key, bool absent) {
    const auto it = spec.find(key);
    return it != spec.end() && it->is_boolean() ? it->get<bool>() : absent;
  };
  const std::string type = spec.value("type", "");
  if (type == "Sequence") {
    for (const Json& step : spec.at("pretokenizers")) AppendSteps(step, steps);
  } else if (type == "ByteLevel") {
    steps->push_back({type, flag("add_prefix_space", true), flag("use_regex", true)});
  } else if (type == "Digits") {
    const char* behavior = flag("individual_digits", false) ? "Isolated" : "Contiguous";
    steps->push_back({"Split", {{"Regex", R"(\p{N})"}}, behavior, false});
  } else {
    steps->push_back({type, spec.value("pattern", Json()), spec.value("behavior", Json()),
                      flag("invert", false)});
  }
}

// The recipe that a tokenizer.json spells out; null if there is none.
const GgufRecipe* RecipeOf(const Json& file, const TokenizerParts& parts) {
  Json steps = Json::array();
  if (const auto spec = file.find("pre_tokenizer"); spec != file.end() && spec->is_object()) {
    AppendSteps(*spec, &steps);
  }
  const auto same_normalizer = [&](const GgufRecipe& recipe) {
    return recipe.nfc ? parts.normalizer.IsNfc() : parts.normalizer.empty();
  };
  for (const GgufRecipe& recipe : GgufRecipes()) {
    Json wanted = Json::array();
    AppendSteps(PreTokenizerSpec(recipe), &wanted);
    const bool same =
        steps == wanted && same_normalizer(recipe) && recipe.ignore_merges == parts.ignore_merges;
    if (same) return &recipe;
  }
  return nullptr;
}

class TextExporter {
 public:
  TextExporter(const std::string& dir, const GgufTextOptions& options, GgufMetadata* metadata)
      : dir_(dir), options_(options), metadata_(metadata) {}

  Result<std::vector<std::string>> Run() {
    const std::string path = dir_ + "/tokenizer.json";
    KAKEYA_ASSIGN_OR_RETURN(file_, ReadJsonFile(path));
    auto parts = ParseTokenizerJson(file_);
    if (!parts.ok()) return parts.status().WithContext(path);
    parts_ = *std::move(parts);
    const GgufRecipe* recipe = RecipeOf(file_, *parts_);
    if (recipe == nullptr) {
      return Unsupported(
          "{}: its way to cut text into words has no name in GGUF (as qwen2, llama-bpe, smollm or "
          "gpt-2 are)",
          path);
    }
    KAKEYA_RETURN_IF_ERROR(CheckEmbedded().WithContext(path));
    metadata_->SetString("tokenizer.ggml.model", "gpt2");
    metadata_->SetString("tokenizer.ggml.pre", recipe->pre);
    AddTokens();
    AddMerges();
    const Status status = AddEnds();
    if (!status.ok()) return status.WithContext(path);
    KAKEYA_RETURN_IF_ERROR(AddChatTemplate());
    return std::move(notes_);
  }

 private:
  bool IsEmbedded(int64_t id) const { return id < options_.vocab_size; }

  // Added tokens beyond the embedding can't be used, and other engines load no file that has some:
  // they are left out. Those around every text can't be.
  Status CheckEmbedded() const {
    KAKEYA_RETURN_IF_ERROR(CheckVocabularyFits(*parts_, options_.vocab_size));
    KAKEYA_RETURN_IF_ERROR(CheckIdsFit(*parts_, parts_->prefix_ids, options_.vocab_size));
    return CheckIdsFit(*parts_, parts_->suffix_ids, options_.vocab_size);
  }

  // Spellings and types by id. The file has been parsed: ids are in range and differ.
  void AddTokens() {
    const auto count = static_cast<size_t>(options_.vocab_size);
    tokens_.resize(count);
    std::vector<int32_t> types(count, kGgufUnused);
    for (size_t i = 0; i < count; ++i) tokens_[i] = fmt::format("[PAD{}]", i);
    for (const auto& [spelling, id] : file_.at("model").at("vocab").items()) {
      if (!IsEmbedded(id.get<int64_t>())) continue;
      tokens_[id.get<size_t>()] = spelling;
      types[id.get<size_t>()] = kGgufNormal;
    }
    int64_t special_rules = 0;
    for (const AddedToken& token : parts_->added) {
      if (!IsEmbedded(token.id)) {
        notes_.push_back(fmt::format(
            "added token {} has id {}, but there are only {} embeddings: it is left out, and text "
            "that names it stays text",
            Quoted(token.content), token.id, count));
        continue;
      }
      const auto id = static_cast<size_t>(token.id);
      tokens_[id] = token.content;
      types[id] = token.special ? kGgufControl : kGgufUserDefined;
      if (token.single_word || token.lstrip || token.rstrip) ++special_rules;
    }
    metadata_->SetStrings("tokenizer.ggml.tokens", tokens_);
    metadata_->SetI32s("tokenizer.ggml.token_type", types);
    if (special_rules > 0) {
      notes_.push_back(fmt::format(
          "{} added tokens look at the space around them (lstrip, rstrip, single_word), which GGUF "
          "can't say",
          special_rules));
    }
  }

  void AddMerges() {
    std::vector<std::string> merges;
    for (const Json& merge : file_.at("model").at("merges")) {
      std::string line;
      if (!merge.is_string()) {
        line = merge.at(0).get<std::string>() + " " + merge.at(1).get<std::string>();
      } else if (!merge.get_ref<const std::string&>().starts_with("#version")) {
        line = merge.get<std::string>();
      }
      if (!line.empty() && IsMergeEmbedded(line)) merges.push_back(std::move(line));
    }
    metadata_->SetStrings("tokenizer.ggml.merges", merges);
  }

  // Whether a merge needs none of the tokens that are left out.
  bool IsMergeEmbedded(const std::string& line) const {
    if (parts_->table.end_id() <= options_.vocab_size) return true;
    const Result<BpeMerge> merge = ParseMergeLine(line, parts_->table);
    return merge.ok() && IsEmbedded(merge->left) && IsEmbedded(merge->right) &&
           IsEmbedded(merge->result);
  }

  std::optional<int32_t> IdOf(const std::string& token) const {
    if (token.empty()) return std::nullopt;
    const auto it = std::find(tokens_.begin(), tokens_.end(), token);
    if (it == tokens_.end()) return std::nullopt;
    return static_cast<int32_t>(it - tokens_.begin());
  }

  void SetId(const char* name, int32_t id) {
    metadata_->SetU32(fmt::format("tokenizer.ggml.{}_token_id", name), static_cast<uint32_t>(id));
  }

  // The tokens that begin and end texts, and whether Encode puts them there.
  Status AddEnds() {
    const std::string config_path = dir_ + "/tokenizer_config.json";
    std::error_code ignored;
    Json config = Json::object();
    if (std::filesystem::exists(config_path, ignored)) {
      KAKEYA_ASSIGN_OR_RETURN(config, ReadJsonFile(config_path, {.python_numbers = true}));
    }
    const auto named = [&](const char* key) -> Result<std::optional<int32_t>> {
      KAKEYA_ASSIGN_OR_RETURN(const std::string token, ChatTemplate::TokenText(config, key));
      return IdOf(token);
    };
    KAKEYA_ASSIGN_OR_RETURN(auto bos, named("bos_token"));
    KAKEYA_ASSIGN_OR_RETURN(auto eos, named("eos_token"));
    // A tokenizer_config that says "bos_token": null means it: templates write nothing then.
    if (!bos && !config.contains("bos_token")) bos = options_.bos_token_id;
    if (parts_->prefix_ids.size() > 1 || parts_->suffix_ids.size() > 1) {
      return Unsupported("its post-processor puts more than one token around a text");
    }
    if (!parts_->prefix_ids.empty()) bos = parts_->prefix_ids[0];
    if (!parts_->suffix_ids.empty()) eos = parts_->suffix_ids[0];
    if (bos) SetId("bos", *bos);
    AddEndings(eos);
    for (const auto& [key, name] : {std::pair("unk_token", "unknown"), {"pad_token", "padding"}}) {
      KAKEYA_ASSIGN_OR_RETURN(const auto id, named(key));
      if (id) SetId(name, *id);
    }
    metadata_->SetBool("tokenizer.ggml.add_bos_token", !parts_->prefix_ids.empty());
    metadata_->SetBool("tokenizer.ggml.add_eos_token", !parts_->suffix_ids.empty());
    return OkStatus();
  }

  // GGUF has three keys for tokens that end a text.
  void AddEndings(std::optional<int32_t> eos) {
    std::vector<int32_t> ends = options_.eos_token_ids;
    if (!eos && !ends.empty()) eos = ends[0];
    if (!eos) return;
    SetId("eos", *eos);
    std::erase(ends, *eos);
    const char* const others[] = {"eot", "eom"};
    for (size_t i = 0; i < ends.size() && i < std::size(others); ++i) SetId(others[i], ends[i]);
    if (ends.size() > std::size(others)) {
      notes_.push_back(fmt::format("of {} tokens that end a text, GGUF has room for three",
                                   options_.eos_token_ids.size()));
    }
  }

  Status AddChatTemplate() {
    const Result<ChatSettings> settings = LoadChatSettings(dir_);
    if (settings.status().code() == StatusCode::kNotFound) return OkStatus();
    KAKEYA_RETURN_IF_ERROR(settings.status());
    metadata_->SetString("tokenizer.chat_template", settings->source);
    return OkStatus();
  }

  const std::string& dir_;
  const GgufTextOptions& options_;
  GgufMetadata* const metadata_;
  Json file_;
  std::unique_ptr<const TokenizerParts> parts_;
  std::vector<std::string> tokens_;  // by id
  std::vector<std::string> notes_;
};

}  // namespace

Result<std::vector<std::string>> AddTokenizer(const std::string& dir,
                                              const GgufTextOptions& options,
                                              GgufMetadata* metadata) {
  return TextExporter(dir, options, metadata).Run();
}

void AddNoTokenizer(const GgufTextOptions& options, GgufMetadata* metadata) {
  metadata->SetString("tokenizer.ggml.model", "no_vocab");
  const char* const names[] = {"eos", "eot", "eom"};
  for (size_t i = 0; i < options.eos_token_ids.size() && i < std::size(names); ++i) {
    metadata->SetU32(fmt::format("tokenizer.ggml.{}_token_id", names[i]),
                     static_cast<uint32_t>(options.eos_token_ids[i]));
  }
  if (options.bos_token_id) {
    metadata->SetU32("tokenizer.ggml.bos_token_id", static_cast<uint32_t>(*options.bos_token_id));
  }
}

}  // namespace kakeya
