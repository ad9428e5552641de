#include "base/status.h"

#include <gtest/gtest.h>

#include <memory>

namespace kakeya {
namespace {

TEST(Status, DefaultIsOk) {
  EXPECT_TRUE(Status().ok());
  EXPECT_TRUE(OkStatus().ok());
  EXPECT_EQ("", OkStatus().message());
}

TEST(Status, HelpersFormatTheMessageAndSetTheCode) {
  const Status status = Corrupt("offset {} is beyond {}", 10, 4);
  EXPECT_FALSE(status.ok());
  EXPECT_EQ(StatusCode::kCorrupt, status.code());
  EXPECT_EQ("offset 10 is beyond 4", status.message());
  EXPECT_EQ(StatusCode::kInvalidArgument, InvalidArgument("x").code());
  EXPECT_EQ(StatusCode::kNotFound, NotFound("x").code());
  EXPECT_EQ(StatusCode::kUnsupported, Unsupported("x").code());
  EXPECT_EQ(StatusCode::kResourceExhausted, ResourceExhausted("x").code());
  EXPECT_EQ(StatusCode::kUnavailable, Unavailable("x").code());
}

TEST(Status, ContextComesFirstAndKeepsTheCode) {
  const Status status = NotFound("no tensor").WithContext("a.safetensors").WithContext("model");
  EXPECT_EQ("model: a.safetensors: no tensor", status.message());
  EXPECT_EQ(StatusCode::kNotFound, status.code());
  EXPECT_TRUE(OkStatus().WithContext("model").ok());
}

TEST(Result, HoldsAValueOrAnError) {
  Result<int> value = 3;
  ASSERT_TRUE(value.ok());
  EXPECT_EQ(3, *value);
  Result<int> error = Unavailable("gone");
  ASSERT_FALSE(error.ok());
  EXPECT_EQ("gone", error.status().message());
}

Result<std::unique_ptr<int>> Half(int x) {
  if (x % 2 != 0) return InvalidArgument("{} is odd", x);
  return std::make_unique<int>(x / 2);
}

Result<int> Quarter(int x) {
  KAKEYA_ASSIGN_OR_RETURN(const std::unique_ptr<int> half, Half(x));
  KAKEYA_ASSIGN_OR_RETURN(const std::unique_ptr<int> quarter, Half(*half));
  return *quarter;
}

Status CheckQuarter(int x) {
  KAKEYA_RETURN_IF_ERROR(Quarter(x).status());
  return OkStatus();
}

TEST(Result, MacrosReturnTheFirstErrorAndMoveTheValue) {
  EXPECT_EQ(2, *Quarter(8));
  EXPECT_EQ("5 is odd", Quarter(10).status().message());
  EXPECT_TRUE(CheckQuarter(4).ok());
  EXPECT_EQ("3 is odd", CheckQuarter(3).message());
}

}  // namespace
}  // namespace kakeya
