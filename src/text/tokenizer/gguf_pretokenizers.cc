#include "text/tokenizer/gguf_pretokenizers.h"

namespace kakeya {
namespace {

constexpr char kQwen2Words[] =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*)"
    R"(|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr char kLlama3Words[] =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*)"
    R"(|\s*[\r\n]+|\s+(?!\S)|\s+)";

constexpr GgufRecipe kRecipes[] = {
    {"qwen2", kQwen2Words, false, true, false, false},
    {"deepseek-r1-qwen", kQwen2Words, false, false, false, false},
    {"llama-bpe", kLlama3Words, false, false, true, true},
    {"llama3", kLlama3Words, false, false, true, true},
    {"llama-v3", kLlama3Words, false, false, true, true},
    {"smollm", nullptr, true, false, false, false},
    {"gpt-2", nullptr, false, false, false, false},
};

}  // namespace

std::span<const GgufRecipe> GgufRecipes() { return kRecipes; }

Json PreTokenizerSpec(const GgufRecipe& recipe) {
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

}  // namespace kakeya
