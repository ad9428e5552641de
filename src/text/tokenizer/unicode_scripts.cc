#include "text/tokenizer/unicode_scripts.h"

namespace kakeya {
namespace {

// ISO 15924 codes of Unicode's scripts, but for Common, Unknown, Han, Hiragana and Katakana; the
// most frequent first.
constexpr const char* kScripts[] = {
    "Latn", "Adlm", "Aghb", "Ahom", "Arab", "Armi", "Armn", "Avst", "Bali", "Bamu", "Bass", "Batk",
    "Beng", "Bhks", "Bopo", "Brah", "Brai", "Bugi", "Buhd", "Cakm", "Cans", "Cari", "Cham", "Cher",
    "Chrs", "Copt", "Cpmn", "Cprt", "Cyrl", "Deva", "Diak", "Dogr", "Dsrt", "Dupl", "Egyp", "Elba",
    "Elym", "Ethi", "Geor", "Glag", "Gong", "Gonm", "Goth", "Gran", "Grek", "Gujr", "Guru", "Hang",
    "Hano", "Hatr", "Hebr", "Hluw", "Hmng", "Hmnp", "Hung", "Ital", "Java", "Kali", "Khar", "Khmr",
    "Khoj", "Kits", "Knda", "Kthi", "Lana", "Laoo", "Lepc", "Limb", "Lina", "Linb", "Lisu", "Lyci",
    "Lydi", "Mahj", "Maka", "Mand", "Mani", "Marc", "Medf", "Mend", "Merc", "Mero", "Miao", "Mlym",
    "Modi", "Mong", "Mroo", "Mtei", "Mult", "Mymr", "Nand", "Narb", "Nbat", "Newa", "Nkoo", "Nshu",
    "Ogam", "Olck", "Orkh", "Orya", "Osge", "Osma", "Ougr", "Palm", "Pauc", "Perm", "Phag", "Phli",
    "Phlp", "Phnx", "Prti", "Rjng", "Rohg", "Runr", "Samr", "Sarb", "Saur", "Sgnw", "Shaw", "Shrd",
    "Sidd", "Sind", "Sinh", "Sogd", "Sogo", "Sora", "Soyo", "Sund", "Sylo", "Syrc", "Tagb", "Takr",
    "Tale", "Talu", "Taml", "Tang", "Tavt", "Telu", "Tfng", "Tglg", "Thaa", "Thai", "Tibt", "Tirh",
    "Tnsa", "Toto", "Ugar", "Vaii", "Vith", "Wara", "Wcho", "Xpeo", "Xsux", "Yezi", "Yiii", "Zanb",
    "Zinh"};

// What never starts a run.
constexpr const char kNone[] = R"( \p{Zzzz})";

}  // namespace

std::string UnicodeScriptsPattern() {
  const std::string none = kNone;
  // U+30FC, which lengthens vowels, is Common by itself.
  const std::string east_asian = R"(\u30FC\p{Hani}\p{Hira}\p{Kana})";
  std::string pattern = R"([\p{Zyyy}&&[^ \u30FC]][\p{Zyyy}\p{Zzzz}&&[^\u30FC]]*+)";
  pattern += "|[" + east_asian + "][" + east_asian + none + "]*+";
  for (const std::string script : kScripts) {
    const std::string member = "\\p{" + script + "}";
    pattern.append("|").append(member).append("[").append(member).append(none).append("]*+");
  }
  // A script that a younger Unicode has added: its characters are words.
  pattern += "|[^" + none + "]";
  return pattern;
}

}  // namespace kakeya
