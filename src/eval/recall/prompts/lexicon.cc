#include "eval/recall/prompts/lexicon.h"

#include <array>
#include <cctype>
#include <cstdint>

namespace kakeya {
namespace {

constexpr const char* kAdjectives[] = {
    "red",      "silver",    "golden",       "hidden",    "ancient",   "broken",   "crystal",
    "frozen",   "hollow",    "iron",         "jade",      "marble",    "noble",    "pale",
    "quiet",    "scarlet",   "violet",       "amber",     "bronze",    "dusty",    "emerald",
    "faded",    "humble",    "narrow",       "rusty",     "velvet",    "misty",    "western",
    "wooden",   "vivid",     "polished",     "tiny",      "urban",     "bitter",   "eager",
    "glossy",   "nimble",    "proud",        "winding",   "painted",   "magnetic", "solar",
    "striped",  "blue",      "green",        "gentle",    "lunar",     "obsidian", "rapid",
    "timber",   "wild",      "copper",       "grand",     "jagged",    "keen",     "lonely",
    "plain",    "sacred",    "tall",         "upper",     "white",     "yellow",   "young",
    "brave",    "calm",      "distant",      "early",     "foggy",     "great",    "heavy",
    "inner",    "jolly",     "lower",        "modern",    "northern",  "outer",    "royal",
    "secret",   "eastern",   "southern",     "clever",    "damp",      "fierce",   "hasty",
    "idle",     "lazy",      "mellow",       "rough",     "sharp",     "tame",     "uneven",
    "vast",     "weary",     "zealous",      "bright",    "cheap",     "dark",     "empty",
    "fancy",    "giant",     "honest",       "little",    "turquoise", "drowsy",   "granite",
    "mossy",    "luminous",  "crooked",      "regal",     "brittle",   "scented",  "tangled",
    "crimson",  "wandering", "northwestern", "abandoned", "gilded",    "sapphire", "thorny",
    "feathered"};
constexpr const char* kNouns[] = {
    "falcon",      "harbor",  "garden",    "castle",   "lantern",    "mirror",   "temple",
    "orchard",     "quarry",  "saddle",    "anchor",   "feather",    "glacier",  "kettle",
    "meadow",      "ribbon",  "statue",    "umbrella", "violin",     "barrel",   "cabin",
    "fountain",    "pantry",  "quilt",     "depot",    "envelope",   "gallery",  "kiosk",
    "beacon",      "compass", "goblet",    "helmet",   "oyster",     "parcel",   "trumpet",
    "boiler",      "furnace", "hangar",    "turbine",  "viaduct",    "bicycle",  "generator",
    "river",       "bridge",  "forest",    "engine",   "ladder",     "market",   "needle",
    "palace",      "tunnel",  "valley",    "window",   "basket",     "cannon",   "desert",
    "hammer",      "island",  "jungle",    "library",  "notebook",   "oven",     "pillar",
    "quiver",      "tower",   "wagon",     "archive",  "drawer",     "elevator", "gate",
    "hallway",     "jacket",  "kitchen",   "locker",   "mill",       "nursery",  "office",
    "railway",     "station", "theatre",   "unit",     "vault",      "yard",     "account",
    "bakery",      "camera",  "factory",   "hotel",    "invoice",    "journal",  "ledger",
    "machine",     "network", "printer",   "quarter",  "reactor",    "server",   "terminal",
    "vessel",      "website", "album",     "dolphin",  "lighthouse", "chimney",  "walrus",
    "cathedral",   "bazaar",  "submarine", "almanac",  "carousel",   "tapestry", "windmill",
    "planetarium", "sundial", "aqueduct",  "gazebo",   "mandolin",   "hedgehog", "barometer",
    "monastery"};
constexpr const char* kFirstNames[] = {
    "Anna",  "Boris", "Clara", "David", "Elena", "Felix", "Greta", "Hugo", "Ines",  "Jonas",
    "Karin", "Leon",  "Maria", "Nils",  "Olga",  "Paul",  "Quinn", "Rosa", "Simon", "Tomas",
    "Uma",   "Wendy", "Yara",  "Zane",  "Alice", "Bruno", "Daisy", "Emil"};
constexpr const char* kSyllables[] = {"ba",  "de",   "fo",  "gu",  "ha",   "jo",   "ke",   "li",
                                      "mu",  "na",   "po",  "ra",  "se",   "ti",   "vo",   "wa",
                                      "zu",  "bran", "cor", "dal", "fen",  "gar",  "hol",  "jen",
                                      "kar", "lin",  "mar", "nor", "pel",  "quin", "ran",  "tor",
                                      "van", "wen",  "yor", "zan", "thel", "brix", "ston", "kresh"};
constexpr const char* kCodeWords[] = {
    "value",  "index",  "count",  "total",   "buffer", "result", "item",    "node",    "left",
    "right",  "head",   "tail",   "size",    "offset", "length", "width",   "height",  "path",
    "file",   "line",   "table",  "state",   "cache",  "queue",  "stack",   "option",  "level",
    "limit",  "start",  "source", "target",  "parent", "child",  "current", "input",   "output",
    "record", "field",  "event",  "handler", "worker", "client", "request", "session", "filter",
    "order",  "amount", "score",  "weight",  "delta",  "batch",  "window",  "frame",   "block",
    "chunk",  "page",   "label",  "color",   "shape",  "graph",  "leaf",    "depth"};

uint32_t Crc32(std::string_view text) {
  uint32_t crc = ~uint32_t{0};
  for (const char c : text) {
    crc ^= static_cast<uint8_t>(c);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0xEDB88320u : 0);
  }
  return ~crc;
}

const char* Pick(std::span<const char* const> words, RecallRandom* random) {
  return random->Pick(words);
}

std::string Capital(std::string_view text) {
  std::string out(text);
  if (!out.empty()) out[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(out[0])));
  return out;
}

std::string AnyKey(KeyKind kind, RecallRandom* random) {
  std::string key;
  switch (kind) {
    case KeyKind::kNoun:
      return std::string("the ") + Pick(kAdjectives, random) + " " + Pick(kNouns, random);
    case KeyKind::kPerson:
      for (size_t i = 0, n = 2 + random->Below(2); i < n; ++i) key += Pick(kSyllables, random);
      return std::string(Pick(kFirstNames, random)) + " " + Capital(key);
    case KeyKind::kMachine:
      for (size_t i = 0, n = 2 + random->Below(2); i < n; ++i) {
        key += "ABCDEFGHJKLMNPQRSTUVWXYZ"[random->Below(24)];
      }
      key += '-';
      for (int i = 0; i < 3; ++i) key += static_cast<char>('0' + random->Below(10));
      return key;
    case KeyKind::kVariable:
      return std::string(Pick(kCodeWords, random)) + "_" + Pick(kCodeWords, random);
    case KeyKind::kIdentifier:
      break;
  }
  const KeyKind longer = random->Below(4) == 0 ? KeyKind::kIdentifier : KeyKind::kVariable;
  return AnyKey(longer, random) + "_" + Pick(kCodeWords, random);
}

void Replace(std::string* text, std::string_view what, std::string_view with) {
  for (size_t at = 0; (at = text->find(what, at)) != std::string::npos; at += with.size()) {
    text->replace(at, what.size(), with);
  }
}

}  // namespace

bool IsHeldOutKey(std::string_view key) {
  std::string lower(key);
  for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  std::string_view bare = lower;
  if (bare.starts_with("the ")) bare.remove_prefix(4);
  return Crc32(bare) % 8 == 0;
}

std::string MakeKey(KeyKind kind, RecallRandom* random) {
  std::string key = AnyKey(kind, random);
  while (!IsHeldOutKey(key)) key = AnyKey(kind, random);
  return key;
}

std::vector<std::string> LookAlikesOf(std::string_view key) {
  const size_t noun = key.rfind(' ') + 1;
  const size_t adjective = key.rfind(' ', noun - 2) + 1;
  std::vector<std::string> others;
  const auto add = [&](std::string other) {
    if (other != key && IsHeldOutKey(other)) others.push_back(std::move(other));
  };
  for (const char* word : kAdjectives) {
    add(std::string(key.substr(0, adjective)) + word + std::string(key.substr(noun - 1)));
  }
  for (const char* word : kNouns) add(std::string(key.substr(0, noun)) + word);
  return others;
}

std::string Fill(std::string_view frame, std::string_view key, std::string_view value) {
  std::string text(frame);
  Replace(&text, "{k}", key);
  Replace(&text, "{q}", key);
  Replace(&text, "{K}", Capital(key));
  Replace(&text, "{v}", value);
  return text;
}

}  // namespace kakeya
