#include "base/build_id.h"

#include <elf.h>
#include <fmt/core.h>
#include <link.h>

#include <cstdint>
#include <cstring>
#include <string_view>

namespace kakeya {
namespace {

constexpr size_t kAlignment = 4;  // of a note's parts

size_t Padded(size_t size) { return (size + kAlignment - 1) / kAlignment * kAlignment; }

// The build id among the notes of one segment; empty if it isn't there.
std::string IdIn(const char* notes, size_t size) {
  constexpr std::string_view kOwner("GNU\0", 4);
  size_t at = 0;
  while (at + sizeof(ElfW(Nhdr)) <= size) {
    ElfW(Nhdr) note;
    std::memcpy(&note, notes + at, sizeof(note));
    const size_t name = at + sizeof(note);
    const size_t content = name + Padded(note.n_namesz);
    at = content + Padded(note.n_descsz);
    if (at > size) break;
    const bool ours = note.n_type == NT_GNU_BUILD_ID && note.n_descsz > 0 &&
                      std::string_view(notes + name, note.n_namesz) == kOwner;
    if (!ours) continue;
    std::string id;
    for (size_t i = 0; i < note.n_descsz; ++i) {
      id += fmt::format("{:02x}", static_cast<uint8_t>(notes[content + i]));
    }
    return id;
  }
  return "";
}

// The first object that is loaded is the main program.
int VisitFirst(dl_phdr_info* object, size_t /*size*/, void* id) {
  for (int i = 0; i < object->dlpi_phnum; ++i) {
    const ElfW(Phdr)& segment = object->dlpi_phdr[i];
    if (segment.p_type != PT_NOTE) continue;
    const auto* notes =
        reinterpret_cast<const char*>(object->dlpi_addr + segment.p_vaddr);  // NOLINT
    std::string found = IdIn(notes, segment.p_memsz);
    if (found.empty()) continue;
    *static_cast<std::string*>(id) = std::move(found);
    break;
  }
  return 1;
}

}  // namespace

std::string BuildId() {
  std::string id = "unknown";
  dl_iterate_phdr(VisitFirst, &id);
  return id;
}

}  // namespace kakeya
