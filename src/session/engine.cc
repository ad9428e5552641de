#include "session/engine.h"

#include <chrono>
#include <filesystem>

#include "base/system.h"
#include "format/checkpoint.h"
#include "format/fingerprint.h"
#include "proposer/learned_restorer.h"
#include "proposer/restorer_model.h"

namespace kakeya {

Result<std::unique_ptr<Engine>> Engine::Load(const std::string& dir, const EngineOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  std::unique_ptr<Engine> engine(new Engine(
      options.device, options.memory_limit > 0 ? options.memory_limit : AvailableMemory()));
  const int threads = options.threads > 0 ? options.threads : AvailableCores();
  KAKEYA_ASSIGN_OR_RETURN(engine->pool_, ThreadPool::Create(threads));
  // Text first: its mistakes are found in milliseconds, before gigabytes are read.
  KAKEYA_RETURN_IF_ERROR(engine->LoadText(dir));
  KAKEYA_ASSIGN_OR_RETURN(
      engine->model_, Model::Load(dir, &engine->budget_, engine->pool_.get(), options.progress));
  const int32_t vocabulary = engine->model_->config.vocab_size;
  if (engine->tokenizer_ && engine->tokenizer_->vocab_size() > vocabulary) {
    return Corrupt("{}: tokenizer.json has {} tokens, but the model only {} embeddings", dir,
                   engine->tokenizer_->vocab_size(), vocabulary);
  }
  if (!options.restorer_dir.empty()) {
    KAKEYA_RETURN_IF_ERROR(engine->LoadRestorer(dir, options.restorer_dir));
  }
  engine->load_seconds_ =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return engine;
}

Result<const Tokenizer*> Engine::tokenizer() const {
  if (!tokenizer_) return NotFound("the model has no tokenizer.json: only --ids works");
  return &*tokenizer_;
}

Result<std::vector<int32_t>> Engine::EncodeChat(ChatInput input) const {
  KAKEYA_RETURN_IF_ERROR(chat_status_);
  KAKEYA_ASSIGN_OR_RETURN(const Tokenizer* tokenizer, this->tokenizer());
  input.bos_token = bos_token_;
  input.eos_token = eos_token_;
  KAKEYA_ASSIGN_OR_RETURN(const std::vector<Segment> rendered, chat_template_->Render(input));
  // The template has written the beginning-of-text token itself, where the model wants one.
  return tokenizer->EncodeSegments(rendered, {.add_special_tokens = false});
}

Result<std::unique_ptr<Restorer>> Engine::NewRestorer(MemoryBudget* budget) const {
  if (restorer_ == nullptr) {
    return NotFound("the model has no restorer: --kv restored needs one (--restorer DIR)");
  }
  return LearnedRestorer::Create(&*model_, restorer_.get(), budget);
}

Status Engine::LoadRestorer(const std::string& model_dir, const std::string& dir) {
  KAKEYA_ASSIGN_OR_RETURN(const Checkpoint checkpoint, Checkpoint::Open(model_dir));
  KAKEYA_ASSIGN_OR_RETURN(const std::string fingerprint, Fingerprint(checkpoint));
  const size_t before = budget_.used(MemoryTag::kWeights);
  KAKEYA_ASSIGN_OR_RETURN(RestorerModel restorer,
                          RestorerModel::Load(dir, *model_, fingerprint, &budget_, pool_.get()));
  restorer_ = std::make_shared<const RestorerModel>(std::move(restorer));
  restorer_bytes_ = budget_.used(MemoryTag::kWeights) - before;
  return OkStatus();
}

Status Engine::LoadText(const std::string& dir) {
  const std::string tokenizer_path = dir + "/tokenizer.json";
  std::error_code ignored;
  if (!std::filesystem::exists(tokenizer_path, ignored)) {
    chat_status_ = NotFound("{}: no such file, so there is no chat", tokenizer_path);
    return OkStatus();
  }
  KAKEYA_ASSIGN_OR_RETURN(tokenizer_, Tokenizer::Load(tokenizer_path));
  chat_status_ = LoadChatTemplate(dir);
  return OkStatus();
}

Status Engine::LoadChatTemplate(const std::string& dir) {
  const std::string config_path = dir + "/tokenizer_config.json";
  std::error_code ignored;
  Json config = Json::object();
  if (std::filesystem::exists(config_path, ignored)) {
    KAKEYA_ASSIGN_OR_RETURN(config, ReadJsonFile(config_path));
  }
  KAKEYA_ASSIGN_OR_RETURN(const std::string source,
                          ChatTemplate::FromTokenizerConfig(config, dir, /*with_tools=*/false));
  KAKEYA_ASSIGN_OR_RETURN(chat_template_, ChatTemplate::Parse(source));
  KAKEYA_ASSIGN_OR_RETURN(bos_token_, ChatTemplate::TokenText(config, "bos_token"));
  KAKEYA_ASSIGN_OR_RETURN(eos_token_, ChatTemplate::TokenText(config, "eos_token"));
  return OkStatus();
}

}  // namespace kakeya
