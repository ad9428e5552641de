// What the path of a model stands for.
#ifndef KAKEYA_FORMAT_MODEL_PATH_H_
#define KAKEYA_FORMAT_MODEL_PATH_H_

#include <string>

#include "base/status.h"

namespace kakeya {

// Whether a model's path is taken for a GGUF file: whatever isn't a folder is.
bool IsGgufPath(const std::string& model);

// The model that a person means: the folder where a file of one is named (config.json,
// tokenizer.json, a safetensors file, ...), the GGUF file where a folder without config.json is
// named that holds just one (in parts or whole, vision towers aside), else the path itself. Errors:
// NotFound when there is nothing, InvalidArgument when a folder holds several GGUF files.
Result<std::string> ResolveModelPath(const std::string& model);

}  // namespace kakeya

#endif  // KAKEYA_FORMAT_MODEL_PATH_H_
