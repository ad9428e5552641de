#include <algorithm>
#include <ctime>

#include "format/quote.h"
#include "text/jinja/builtins.h"
#include "text/jinja/format.h"
#include "text/jinja/operators.h"

namespace kakeya::jinja {
namespace {

constexpr int64_t kMaxRange = 100'000;  // as Jinja's sandbox

Value Range(Runtime& runtime, const CallArgs& args) {
  const auto bound = args.Bind("range", {"start", "stop", "step"}, 1);
  const int64_t first = IntOf(*bound[0], "range");
  const int64_t start = bound[1] ? first : 0;
  const int64_t stop = bound[1] ? IntOf(*bound[1], "range") : first;
  const int64_t step = bound[2] ? IntOf(*bound[2], "range") : 1;
  if (step == 0) Fail("the step of range is zero");
  std::vector<Value> items;
  for (int64_t i = start; step > 0 ? i < stop : i > stop;) {
    if (static_cast<int64_t>(items.size()) == kMaxRange) {
      throw Error{StatusCode::kResourceExhausted,
                  fmt::format("range has more than {} items", kMaxRange)};
    }
    items.emplace_back(i);
    if (__builtin_add_overflow(i, step, &i)) break;
  }
  auto range = std::make_shared<Sequence>();
  range->label = step == 1 ? fmt::format("range({}, {})", start, stop)
                           : fmt::format("range({}, {}, {})", start, stop, step);
  range->kind = SequenceKind::kRange;
  range->items = runtime.NewList(std::move(items)).AsSequence()->items;
  return Value(std::shared_ptr<const Sequence>(std::move(range)));
}

// The entries that dict() and namespace() take: a mapping or pairs, then keywords.
Dict Collect(Runtime& runtime, const char* function, const CallArgs& args) {
  Dict out;
  if (args.positional.size() > 1) Fail("{} takes at most one positional argument", function);
  for (const Value& from : args.positional) {
    RequireDefined(from);
    if (const Dict* dict = from.AsDict()) {
      for (const auto& [key, value] : dict->entries()) out.Set(key, value);
      continue;
    }
    for (const Value& item : Iterate(runtime, from)) {
      const std::vector<Value> pair = Iterate(runtime, item);
      if (pair.size() != 2) Fail("{} needs pairs", function);
      out.Set(pair[0], pair[1]);
    }
  }
  for (const auto& [name, value] : args.keyword) out.Set(runtime.NewString(name), value);
  return out;
}

Value MakeNamespace(Runtime& runtime, const CallArgs& args) {
  Dict attributes = Collect(runtime, "namespace", args);
  for (const auto& [key, value] : attributes.entries()) {
    if (key.IsString() && key.AsText()->str().starts_with('_')) {
      Fail("a namespace can't hold {}: names with an underscore in front are reserved",
           Quoted(key.AsText()->str()));
    }
  }
  Value ns = runtime.NewNamespace();
  ns.AsNamespace()->attributes = std::move(attributes);
  return ns;
}

Value RaiseException(Runtime& runtime, const CallArgs& args) {
  const Value& message = *args.Bind("raise_exception", {"message"}, 1)[0];
  std::string text = ToText(runtime, message).str();
  std::replace_if(
      text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; }, ' ');
  throw Error{StatusCode::kInvalidArgument, text, true};
}

Value StrftimeNow(Runtime& runtime, const CallArgs& args) {
  const Text& format = TextOf(*args.Bind("strftime_now", {"format"}, 1)[0], "strftime_now");
  if (!runtime.now()) Fail("the template asks for the time, and none was given");
  if (format.empty()) return runtime.NewString("");
  std::string out(4096, '\0');
  const size_t n = std::strftime(out.data(), out.size(), format.str().c_str(), &*runtime.now());
  out.resize(n);
  return runtime.NewString(format.Rewritten(std::move(out)));
}

// Nothing on the first call, the separator on every later one.
Value Joiner(Runtime& runtime, const CallArgs& args) {
  const Value* given = args.Bind("joiner", {"sep"})[0];
  const auto separator =
      std::make_shared<const Text>(given ? ToText(runtime, *given) : Text::Trusted(", "));
  const auto used = std::make_shared<bool>(false);
  return MakeCallable("joiner", [&runtime, separator, used](const CallArgs&) {
    return runtime.NewString(std::exchange(*used, true) ? *separator : Text());
  });
}

// Hands out its items in turn, for ever.
Value MakeCycler(Runtime& runtime, const CallArgs& args) {
  if (!args.keyword.empty()) Fail("cycler takes no named arguments");
  if (args.positional.empty()) Fail("cycler has nothing to choose from");
  Cycler cycler{runtime.NewSequence(SequenceKind::kTuple, args.positional)};
  return Value(std::make_shared<Cycler>(std::move(cycler)));
}

}  // namespace

Value FindFunction(Runtime& runtime, const std::string& name) {
  using Function = Value (*)(Runtime&, const CallArgs&);
  static constexpr std::pair<std::string_view, Function> kFunctions[] = {
      {"range", Range},
      {"namespace", MakeNamespace},
      {"dict",
       [](Runtime& r, const CallArgs& args) { return r.NewDict(Collect(r, "dict", args)); }},
      {"joiner", Joiner},
      {"cycler", MakeCycler},
      {"raise_exception", RaiseException},
      {"strftime_now", StrftimeNow},
  };
  for (const auto& [known, function] : kFunctions) {
    if (known != name) continue;
    return MakeCallable(
        name, [&runtime, f = function](const CallArgs& args) { return f(runtime, args); });
  }
  return Value::MakeUndefined(Quoted(name) + " is undefined");
}

}  // namespace kakeya::jinja
