#include "text/tokenizer/gguf_pretokenizers.h"

#include <algorithm>

namespace kakeya {
namespace {

// Where a model's tokenizer.json is known its regex stands here, else the one that llama.cpp runs.
// What they share:
#define KAKEYA_CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define KAKEYA_SPACES R"(|\s*[\r\n]+|\s+(?!\S)|\s+)"
#define KAKEYA_MARKS_AND_SPACES R"(| ?[^\s\p{L}\p{N}]+[\r\n]*)" KAKEYA_SPACES
#define KAKEYA_LETTERS R"([^\r\n\p{L}\p{N}]?\p{L}+)"
// A word that begins with capitals, and one of capitals; the tail goes on both.
#define KAKEYA_UPPER R"([\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}])"
#define KAKEYA_LOWER R"([\p{Ll}\p{Lm}\p{Lo}\p{M}])"
#define KAKEYA_CASED(upper, lower, tail) \
  R"([^\r\n\p{L}\p{N}]?)" upper "*" lower "+" tail R"(|[^\r\n\p{L}\p{N}]?)" upper "+" lower "*" tail
#define KAKEYA_SYMBOLS R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~])"
#define KAKEYA_LETTERS_AND_MARKS R"([^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+)"

using Splits = std::string_view[];

constexpr Splits kDigit = {R"(\p{N})"};
constexpr Splits kQwen2 = {KAKEYA_CONTRACTIONS "|" KAKEYA_LETTERS
                                               R"(|\p{N})" KAKEYA_MARKS_AND_SPACES};
constexpr Splits kQwen35 = {
    KAKEYA_CONTRACTIONS
    R"(|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*)" KAKEYA_SPACES};
constexpr Splits kUfakzeka = {KAKEYA_LETTERS R"(|\p{N})" KAKEYA_MARKS_AND_SPACES};
constexpr Splits kLaguna = {R"([^\n]+|[\n]+)", kQwen2[0]};
constexpr Splits kLlama3 = {KAKEYA_CONTRACTIONS "|" KAKEYA_LETTERS
                                                R"(|\p{N}{1,3})" KAKEYA_MARKS_AND_SPACES};
constexpr Splits kMinicpm5 = {
    R"(\p{N}{1,3})", KAKEYA_CONTRACTIONS "|" KAKEYA_LETTERS R"(|\p{N}+)" KAKEYA_MARKS_AND_SPACES};
constexpr Splits kJais2 = {
    KAKEYA_CONTRACTIONS
    "|" KAKEYA_LETTERS
    R"(|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s{512}(?!\S)|\s{256}(?!\S)|\s{128}(?!\S))"
    R"(|\s{64}(?!\S)|\s{32}(?!\S)|\s{16}(?!\S)|\s{8}(?!\S)|\s{4}(?!\S)|\s{1,2}(?!\S)|\s{1})"};
constexpr Splits kSeedCoder = {
    KAKEYA_CONTRACTIONS "|" KAKEYA_LETTERS R"(|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+)" KAKEYA_SPACES};
constexpr Splits kExaoneMoe = {
    KAKEYA_CONTRACTIONS
    R"(|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?)"
    R"(|\s*[\r\n]|\s+(?!\S)|\s+)"};
constexpr Splits kBailing = {
    R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*)"
    R"(|\s*[\r\n]|\s+(?!\S)|\s+)"};

constexpr Splits kTekken = {KAKEYA_CASED(KAKEYA_UPPER, KAKEYA_LOWER,
                                         "") R"(|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*)" KAKEYA_SPACES};
constexpr Splits kGpt4o = {KAKEYA_CASED(
    KAKEYA_UPPER, KAKEYA_LOWER,
    KAKEYA_CONTRACTIONS "?") R"(|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*)" KAKEYA_SPACES};
constexpr Splits kTinyAya = {R"(\d{1,3}(?=(?:\d{3})*\b))", kGpt4o[0]};
constexpr Splits kYoutu = {
    "[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|[一-龥぀-"
    "ゟ゠-"
    "ヿ]"
    "+",
    KAKEYA_CASED(KAKEYA_UPPER, KAKEYA_LOWER,
                 KAKEYA_CONTRACTIONS "?") R"(|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*)" KAKEYA_SPACES};
constexpr Splits kKimiK2 = {R"(\p{Han}+|)" KAKEYA_CASED(
    R"([\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]])", R"([\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]])",
    KAKEYA_CONTRACTIONS "?") R"(|\p{N}{1,3})" KAKEYA_MARKS_AND_SPACES};

constexpr Splits kDeepseekLlm = {
    R"([\r\n])",
    // One literal in two lines. NOLINTNEXTLINE(bugprone-suspicious-missing-comma)
    (R"(\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚ)"
     R"(Ḁ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-ώᾀ-ᾴᾶ-ᾼιῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+)"),
    R"(\s?[!-/:-~！-／：-～‘-‟　-。]+)", R"(\s+$)", R"([一-龥ࠀ-一가-퟿]+)", R"(\p{N}+)"};
constexpr Splits kDeepseekCoder = {R"([\r\n])", R"(\s?\p{L}+)", R"(\s?\p{P}+)",
                                   R"([一-龥ࠀ-一가-퟿]+)", R"(\p{N})"};
constexpr Splits kDeepseekV3 = {R"(\p{N}{1,3})", "[一-龥぀-ゟ゠-ヿ]+",
                                KAKEYA_SYMBOLS "[A-Za-z]+|" KAKEYA_LETTERS_AND_MARKS
                                               R"(| ?[\p{P}\p{S}]+[\r\n]*)" KAKEYA_SPACES};
constexpr Splits kSpark = {R"(\p{N}{1,3})", "[一-龥぀-ゟ゠-ヿ]+",
                           KAKEYA_SYMBOLS "[A-Za-z]+|" KAKEYA_LETTERS_AND_MARKS
                                          R"(| ?[\p{P}\p{S}]+|[\r\n]|\s+(?!\S)|\s+)",
                           R"(\p{N})"};

// What llama.cpp runs before and behind GPT-2's regex, as one list.
constexpr std::string_view kGpt2Words =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr Splits kFalcon = {R"([\p{P}\$\+<=>\^~\|`]+)", kGpt2Words, "[0-9][0-9][0-9]"};
constexpr Splits kDefault = {R"([\p{P}\$\+<=>\^~\|]+)", kGpt2Words, R"(\p{N}+)", "[0-9][0-9][0-9]"};
constexpr Splits kChameleon = {"<sentinel:[0-9]+>", "(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z",
                               R"(([\t\n]|    |  ))", R"(\p{N})", R"([\p{P}!-/:-@\[-`{-~])"};
constexpr Splits kBloom = {R"( ?[^(\s|.,!?…。，、।۔،)]+)"};
constexpr Splits kViking = {kBloom[0], R"(\p{N})"};
constexpr Splits kSuperBpe = {R"(\p{N}+)", R"((?=(\d{3})+(?!\d)))"};

// The order of the first seven is that of the names that `quantize` prefers.
constexpr GgufRecipe kRecipes[] = {
    {.pre = "qwen2", .splits = kQwen2, .nfc = true},
    {.pre = "deepseek-r1-qwen", .splits = kQwen2},
    {.pre = "llama-bpe", .splits = kLlama3, .ignore_merges = true, .add_bos = true},
    {.pre = "llama3", .splits = kLlama3, .ignore_merges = true, .add_bos = true},
    {.pre = "llama-v3", .splits = kLlama3, .ignore_merges = true, .add_bos = true},
    {.pre = "smollm", .splits = kDigit, .gpt2 = true},
    {.pre = "gpt-2", .splits = {}, .gpt2 = true},
    {.pre = "default", .splits = kDefault},
    {.pre = "falcon3", .splits = kLlama3, .ignore_merges = true, .add_bos = true},
    {.pre = "falcon-h1", .splits = kLlama3, .ignore_merges = true, .add_bos = true},
    {.pre = "pixtral", .splits = kLlama3, .ignore_merges = true, .add_bos = true},
    {.pre = "midm-2.0", .splits = kLlama3, .ignore_merges = true, .add_bos = true},
    {.pre = "lfm2", .splits = kLlama3, .ignore_merges = true, .add_bos = true},
    {.pre = "jina-v5-nano", .splits = kLlama3, .ignore_merges = true, .add_bos = true},
    {.pre = "dbrx", .splits = kLlama3},
    {.pre = "smaug-bpe", .splits = kLlama3},
    {.pre = "chatglm-bpe", .splits = kLlama3},
    {.pre = "glm4", .splits = kLlama3, .ignore_merges = true},
    {.pre = "glm5", .splits = kLlama3, .ignore_merges = true},
    {.pre = "kormo", .splits = kQwen2},
    {.pre = "f2llmv2", .splits = kQwen2},
    {.pre = "megrez", .splits = kQwen2},
    {.pre = "hunyuan", .splits = kQwen2},
    {.pre = "solar-open", .splits = kQwen2},
    {.pre = "grok-2", .splits = kQwen2},
    {.pre = "stablelm2", .splits = kQwen2, .nfc = true},
    {.pre = "qwen35", .splits = kQwen35, .nfc = true},
    {.pre = "ufakzeka", .splits = kUfakzeka},
    {.pre = "laguna", .splits = kLaguna},
    {.pre = "jais-2", .splits = kJais2},
    {.pre = "seed-coder", .splits = kSeedCoder},
    {.pre = "minicpm5", .splits = kMinicpm5, .ignore_merges = true},
    {.pre = "exaone-moe", .splits = kExaoneMoe},
    {.pre = "bailingmoe", .splits = kBailing},
    {.pre = "bailingmoe2", .splits = kBailing},
    {.pre = "llada-moe", .splits = kBailing},
    {.pre = "tekken", .splits = kTekken, .ignore_merges = true, .add_bos = true},
    {.pre = "gpt-4o", .splits = kGpt4o},
    {.pre = "llama4", .splits = kGpt4o},
    {.pre = "kanana2", .splits = kGpt4o},
    {.pre = "talkie", .splits = kGpt4o},
    {.pre = "minimax-m2", .splits = kGpt4o},
    {.pre = "granite-embed-multi-97m", .splits = kGpt4o, .ignore_merges = true},
    {.pre = "tiny_aya", .splits = kTinyAya},
    {.pre = "cohere2moe", .splits = kTinyAya},
    {.pre = "youtu", .splits = kYoutu, .ignore_merges = true},
    {.pre = "kimi-k2", .splits = kKimiK2},
    {.pre = "deepseek-llm", .splits = kDeepseekLlm},
    {.pre = "deepseek-coder", .splits = kDeepseekCoder},
    {.pre = "deepseek-v3", .splits = kDeepseekV3},
    {.pre = "hunyuan-dense", .splits = kDeepseekV3},
    {.pre = "joyai-llm", .splits = kDeepseekV3},
    {.pre = "hy_v4", .splits = kDeepseekV3},
    {.pre = "spark2_5", .splits = kSpark},
    {.pre = "falcon", .splits = kFalcon},
    {.pre = "chameleon", .splits = kChameleon, .gpt2 = true, .add_bos = true},
    {.pre = "poro-chat", .splits = kBloom},
    {.pre = "bloom", .splits = kBloom},
    {.pre = "gpt3-finnish", .splits = kBloom},
    {.pre = "viking", .splits = kViking},
    {.pre = "superbpe", .splits = kSuperBpe},
    {.pre = "command-r", .splits = kDigit, .gpt2 = true, .nfc = true},
    {.pre = "starcoder", .splits = kDigit, .gpt2 = true},
    {.pre = "refact", .splits = kDigit, .gpt2 = true},
    {.pre = "codeshell", .splits = kDigit, .gpt2 = true},
    {.pre = "exaone", .splits = kDigit, .gpt2 = true},
    {.pre = "minerva-7b", .splits = kDigit, .gpt2 = true},
    {.pre = "mellum2", .splits = kDigit, .gpt2 = true},
    {.pre = "mpt", .splits = {}, .gpt2 = true, .nfc = true},
    {.pre = "olmo", .splits = {}, .gpt2 = true, .nfc = true},
    {.pre = "phi-2", .splits = {}, .gpt2 = true},
    {.pre = "jina-es", .splits = {}, .gpt2 = true},
    {.pre = "jina-de", .splits = {}, .gpt2 = true},
    {.pre = "jina-v1-en", .splits = {}, .gpt2 = true},
    {.pre = "jina-v2-es", .splits = {}, .gpt2 = true},
    {.pre = "jina-v2-de", .splits = {}, .gpt2 = true},
    {.pre = "jina-v2-code", .splits = {}, .gpt2 = true},
    {.pre = "roberta-bpe", .splits = {}, .gpt2 = true},
    {.pre = "gigachat", .splits = {}, .gpt2 = true},
    {.pre = "a.x-4.0", .splits = {}, .gpt2 = true},
    {.pre = "mellum", .splits = {}, .gpt2 = true},
    {.pre = "modern-bert", .splits = {}, .gpt2 = true},
    {.pre = "jais", .splits = {}, .gpt2 = true},
    {.pre = "exaone4", .splits = {}, .gpt2 = true},
    {.pre = "trillion", .splits = {}, .gpt2 = true},
    {.pre = "granite-docling", .splits = {}, .gpt2 = true},
};

}  // namespace

std::span<const GgufRecipe> GgufRecipes() { return kRecipes; }

const GgufRecipe* FindGgufRecipe(std::string_view pre) {
  const auto* const recipe = std::find_if(std::begin(kRecipes), std::end(kRecipes),
                                          [pre](const GgufRecipe& r) { return r.pre == pre; });
  return recipe == std::end(kRecipes) ? nullptr : recipe;
}

Json PreTokenizerSpec(const GgufRecipe& recipe) {
  Json steps = Json::array();
  for (const std::string_view regex : recipe.splits) {
    steps.push_back({{"type", "Split"},
                     {"pattern", {{"Regex", regex}}},
                     {"behavior", "Isolated"},
                     {"invert", false}});
  }
  steps.push_back({{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", recipe.gpt2}});
  return {{"type", "Sequence"}, {"pretokenizers", steps}};
}

}  // namespace kakeya
