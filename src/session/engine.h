// A model ready to serve: parameters, tokenizer, chat template, threads and the memory they live
// in. Loaded once, shared by all its sessions.
//
// Thread safety: immutable after Load, except the thread pool: one session at a time runs a step.
#ifndef KAKEYA_SESSION_ENGINE_H_
#define KAKEYA_SESSION_ENGINE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "backend/ops.h"
#include "base/memory_budget.h"
#include "base/mutex.h"
#include "base/status.h"
#include "base/thread_pool.h"
#include "model/forward.h"
#include "text/chat_template.h"
#include "text/model_text.h"
#include "text/tokenizer/tokenizer.h"

namespace kakeya {

struct RestorerModel;  // proposer/restorer_model.h

struct EngineOptions {
  int threads = 0;  // 0: one per core that the process may use
  Device device = Device::kCpu;
  size_t memory_limit =
      0;  // bytes, for everything counted in budget(); 0: what the system has left
  LoadProgress progress = {};
  std::string restorer_dir = {};  // of a trained restorer for this model; empty: none
};

class Engine {
 public:
  // Loads a model: a folder in the HF layout, or a GGUF file. A missing tokenizer or chat template
  // is no error here, nor is a kind of tokenizer in a GGUF file that this engine doesn't know:
  // their accessors say later why they can't help. Errors name the file and what is wrong in it.
  static Result<std::unique_ptr<Engine>> Load(const std::string& model,
                                              const EngineOptions& options);

  const Model& model() const { return *model_; }
  // Errors: NotFound when the model has no tokenizer, Unsupported when it has one of another kind.
  Result<const Tokenizer*> tokenizer() const;
  // A conversation as the token ids that the model's chat template makes of it: RenderChat, the
  // tokenizer, and DropRepeatedBos. Their errors.
  Result<std::vector<int32_t>> EncodeChat(ChatInput input) const;
  // A conversation as the chat template writes it; bos_token and eos_token are filled in. Errors:
  // NotFound when the model has no chat template, Corrupt when that can't be parsed, and those of
  // ChatTemplate::Render.
  Result<std::vector<Segment>> RenderChat(ChatInput input) const;
  // Leaves one of the beginning-of-text tokens that a rendered conversation begins with, and says
  // how many were dropped. Errors: those of tokenizer().
  Result<size_t> DropRepeatedBos(std::vector<int32_t>* ids) const;
  // Errors: those of RenderChat before there is anything to say.
  Status CheckChat() const { return chat_status_; }
  // The trained restorer's parameters; null if none was asked for.
  const RestorerModel* restorer() const { return restorer_.get(); }
  // Of the parameters above and what is computed from them once; 0 without.
  size_t restorer_bytes() const { return restorer_bytes_; }
  // Token ids that end a text.
  const std::vector<int32_t>& eos() const { return model_->config.eos_token_ids; }
  OpContext context() const { return {device_, pool_.get()}; }
  MemoryBudget& budget() { return budget_; }
  // What tells this model from another: of its tensors as they are on disk, and of what the config
  // makes of them. The first call reads all tensors, and is as good as the files are unchanged
  // since Load; later ones cost nothing. Errors: those of Checkpoint::Open and Fingerprint.
  Result<std::string> ModelFingerprint() const KAKEYA_EXCLUDES(fingerprint_mutex_);
  double load_seconds() const { return load_seconds_; }

 private:
  Engine(std::string path, Device device, size_t memory_limit)
      : path_(std::move(path)), device_(device), budget_(memory_limit) {}
  Status LoadText(const std::string& model);
  Status LoadChatTemplate(const std::string& model);
  Status LoadRestorer(const std::string& dir);
  // Of the tensors on disk alone.
  Result<std::string> TensorFingerprint() const KAKEYA_EXCLUDES(fingerprint_mutex_);

  std::string path_;  // of the model
  Device device_;
  MemoryBudget budget_;  // outlives what is allocated from it, hence before it
  std::unique_ptr<ThreadPool> pool_;
  std::optional<Model> model_;
  std::shared_ptr<const RestorerModel> restorer_;
  size_t restorer_bytes_ = 0;
  std::optional<Tokenizer> tokenizer_;
  Status tokenizer_status_;  // why there is no tokenizer
  ChatSettings chat_settings_;
  std::optional<ChatTemplate> chat_template_;
  Status chat_status_;  // why there is no chat template
  double load_seconds_ = 0;
  mutable Mutex fingerprint_mutex_;
  mutable std::string tensor_fingerprint_ KAKEYA_GUARDED_BY(fingerprint_mutex_);  // once known
};

}  // namespace kakeya

#endif  // KAKEYA_SESSION_ENGINE_H_
