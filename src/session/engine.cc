#include "session/engine.h"

#include <chrono>

#include "base/system.h"
#include "format/checkpoint.h"
#include "format/fingerprint.h"
#include "proposer/restorer_model.h"
#include "text/tokenizer/bos.h"

namespace kakeya {
namespace {

// Whatever of the config the bits of keys and values depend on, beside the tensors. Numbers are
// spelled exactly.
std::string ShapeText(const Model& model) {
  const ModelConfig& config = model.config;
  std::string text =
      fmt::format("{} {} {} {:a} {}\n", NameOf(config.architecture), config.vocab_size,
                  config.hidden_size, config.rms_norm_eps, config.tie_word_embeddings);
  for (const LayerConfig& layer : config.layers) {
    text +=
        fmt::format("{} {} {} {} {} {} {}\n", layer.num_heads, layer.num_kv_heads, layer.head_dim,
                    layer.intermediate_size, layer.qk_norm, layer.rope, layer.sliding_window);
  }
  for (const Rotation& rotation : model.rotations) {
    text += fmt::format("{:a}", rotation.magnitude);
    for (const float frequency : rotation.frequencies) text += fmt::format(" {:a}", frequency);
    text += '\n';
  }
  return text;
}

}  // namespace

Result<std::unique_ptr<Engine>> Engine::Load(const std::string& model,
                                             const EngineOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  std::unique_ptr<Engine> engine(new Engine(
      model, options.device, options.memory_limit > 0 ? options.memory_limit : AvailableMemory()));
  const int threads = options.threads > 0 ? options.threads : AvailableCores();
  KAKEYA_ASSIGN_OR_RETURN(engine->pool_, ThreadPool::Create(threads));
  // Text first: its mistakes are found in milliseconds, before gigabytes are read.
  KAKEYA_RETURN_IF_ERROR(engine->LoadText(model));
  KAKEYA_ASSIGN_OR_RETURN(
      engine->model_, Model::Load(model, &engine->budget_, engine->pool_.get(), options.progress));
  const int32_t vocabulary = engine->model_->config.vocab_size;
  if (engine->tokenizer_) {
    KAKEYA_RETURN_IF_ERROR(engine->tokenizer_->LimitIds(vocabulary).WithContext(model));
  }
  if (!options.restorer_dir.empty()) {
    KAKEYA_RETURN_IF_ERROR(engine->LoadRestorer(options.restorer_dir));
  }
  engine->load_seconds_ =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return engine;
}

Result<const Tokenizer*> Engine::tokenizer() const {
  if (!tokenizer_) return tokenizer_status_;
  return &*tokenizer_;
}

Result<std::vector<Segment>> Engine::RenderChat(ChatInput input) const {
  KAKEYA_RETURN_IF_ERROR(chat_status_);
  input.bos_token = chat_settings_.bos_token;
  input.eos_token = chat_settings_.eos_token;
  return chat_template_->Render(input);
}

// The template has written the beginning-of-text token itself, where the model wants one. Some
// write it twice: in so many letters, and as bos_token.
Result<size_t> Engine::DropRepeatedBos(std::vector<int32_t>* ids) const {
  KAKEYA_ASSIGN_OR_RETURN(const Tokenizer* tokenizer, this->tokenizer());
  const std::string& bos = chat_settings_.bos_token;
  return kakeya::DropRepeatedBos(bos.empty() ? tokenizer->bos_id() : tokenizer->IdOf(bos), ids);
}

Result<std::vector<int32_t>> Engine::EncodeChat(ChatInput input) const {
  KAKEYA_ASSIGN_OR_RETURN(const std::vector<Segment> rendered, RenderChat(std::move(input)));
  KAKEYA_ASSIGN_OR_RETURN(const Tokenizer* tokenizer, this->tokenizer());
  KAKEYA_ASSIGN_OR_RETURN(std::vector<int32_t> ids,
                          tokenizer->EncodeSegments(rendered, {.add_special_tokens = false}));
  KAKEYA_RETURN_IF_ERROR(DropRepeatedBos(&ids).status());
  return ids;
}

Result<std::string> Engine::TensorFingerprint() const {
  const MutexLock lock(&fingerprint_mutex_);
  if (tensor_fingerprint_.empty()) {
    KAKEYA_ASSIGN_OR_RETURN(const Checkpoint checkpoint, Checkpoint::Open(path_));
    KAKEYA_ASSIGN_OR_RETURN(tensor_fingerprint_, Fingerprint(checkpoint));
  }
  return tensor_fingerprint_;
}

Result<std::string> Engine::ModelFingerprint() const {
  KAKEYA_ASSIGN_OR_RETURN(const std::string tensors, TensorFingerprint());
  return FingerprintOfText(tensors + ShapeText(*model_));
}

Status Engine::LoadRestorer(const std::string& dir) {
  KAKEYA_ASSIGN_OR_RETURN(const std::string fingerprint, TensorFingerprint());
  const size_t before = budget_.used(MemoryTag::kWeights);
  KAKEYA_ASSIGN_OR_RETURN(RestorerModel restorer,
                          RestorerModel::Load(dir, *model_, fingerprint, &budget_, pool_.get()));
  restorer_ = std::make_shared<const RestorerModel>(std::move(restorer));
  restorer_bytes_ = budget_.used(MemoryTag::kWeights) - before;
  return OkStatus();
}

Status Engine::LoadText(const std::string& model) {
  Result<Tokenizer> tokenizer = LoadTokenizer(model);
  if (!tokenizer.ok()) {
    // Token ids need none. A GGUF file's may be of another kind; a tokenizer.json that can't be
    // read is a folder's fault.
    const StatusCode code = tokenizer.status().code();
    const bool bearable =
        code == StatusCode::kNotFound || (code == StatusCode::kUnsupported && IsGgufPath(model));
    if (!bearable) return tokenizer.status();
    tokenizer_status_ = tokenizer.status();
    chat_status_ = tokenizer.status();
    return OkStatus();
  }
  tokenizer_.emplace(*std::move(tokenizer));
  chat_status_ = LoadChatTemplate(model);
  return OkStatus();
}

Status Engine::LoadChatTemplate(const std::string& model) {
  KAKEYA_ASSIGN_OR_RETURN(chat_settings_, LoadChatSettings(model));
  KAKEYA_ASSIGN_OR_RETURN(chat_template_, ChatTemplate::Parse(chat_settings_.source));
  return OkStatus();
}

}  // namespace kakeya
