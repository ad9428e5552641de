// x.name and x[key]: attributes, items and methods of the values, as Jinja's sandbox hands them
// out.
#ifndef KAKEYA_TEXT_JINJA_MEMBERS_H_
#define KAKEYA_TEXT_JINJA_MEMBERS_H_

#include <string>

#include "text/jinja/runtime.h"
#include "text/jinja/value.h"

namespace kakeya::jinja {

// The attribute, else the item of that name, else undefined. Fails on an undefined value and on
// names that begin with two underscores: the insides of objects don't exist here.
Value GetAttribute(Runtime& runtime, const Value& object, const std::string& name);

// The item, else the attribute of that name, else undefined.
Value GetItem(Runtime& runtime, const Value& object, const Value& key);

// The method of a string, list or dict, bound to it; None when there is no method of that name.
Value FindMethod(Runtime& runtime, const Value& object, const std::string& name);

}  // namespace kakeya::jinja

#endif  // KAKEYA_TEXT_JINJA_MEMBERS_H_
