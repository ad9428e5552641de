// Which build of the program this is: what measurements of different builds must not be mixed by.
#ifndef KAKEYA_BASE_BUILD_ID_H_
#define KAKEYA_BASE_BUILD_ID_H_

#include <string>

namespace kakeya {

// The linker's hash over the main program (GNU build id), in hexadecimal; "unknown" where it wrote
// none. Read from memory, so it doesn't matter by what path or loader the program was started.
std::string BuildId();

}  // namespace kakeya

#endif  // KAKEYA_BASE_BUILD_ID_H_
