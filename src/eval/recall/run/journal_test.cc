#include "eval/recall/run/journal.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

namespace kakeya {
namespace {

RecallRecord Sample(int64_t prompt) {
  RecallRecord record;
  record.key = {RecallTask::kFourValues, 4096, RecallArm::kWithoutNeedle, prompt};
  record.right = prompt % 2 == 0;
  record.depth = 0.375;
  record.distance = 1300;
  record.prompt_tokens = 4090;
  record.prefill_tokens = 4090;
  record.prefill_seconds = 1.25;
  record.decode_steps = 9;
  record.decode_seconds = 0.0625;
  record.resident_bytes = 123456;
  record.peak_bytes = 234567;
  record.history_bytes = 3456;
  record.scratch_bytes = 77777;
  record.restored_pages = 70;
  record.restored_vectors = 8960;
  record.failed_pages = 1;
  record.coupon_layers = {2, 5};
  record.answers = {" 12345\xff \"quoted\"", ""};
  record.expected = {"12345"};
  record.reinserted_chunks = 11;
  record.phrasing = "Among the gate codes of {k} is {v}.";
  record.machine = "Some Processor, 2 cores";
  return record;
}

class RecallJournalTest : public testing::Test {
 protected:
  RecallJournalTest()
      : path_(testing::TempDir() + "kakeya_journal_" + std::to_string(getpid()) + "_" +
              testing::UnitTest::GetInstance()->current_test_info()->name()) {}
  ~RecallJournalTest() override { std::filesystem::remove(path_); }

  std::string Text() const {
    std::ostringstream text;
    text << std::ifstream(path_).rdbuf();
    return text.str();
  }
  void Write(const std::string& text) const { std::ofstream(path_) << text; }

  std::string path_;
  Json settings_ = {{"seed", 7}, {"n", 100}, {"restorer", nullptr}};
};

TEST_F(RecallJournalTest, GivesBackWhatWasAdded) {
  {
    Result<RecallJournal> journal = RecallJournal::Open(path_, settings_);
    ASSERT_TRUE(journal.ok()) << journal.status().message();
    EXPECT_TRUE(journal->records().empty());
    for (int64_t i = 0; i < 3; ++i) ASSERT_TRUE(journal->Add(Sample(i)).ok());
  }
  Result<RecallJournal> journal = RecallJournal::Open(path_, settings_);
  ASSERT_TRUE(journal.ok()) << journal.status().message();
  ASSERT_EQ(journal->records().size(), 3u);
  RecallRecord expected = Sample(1);
  expected.answers[0] =
      " 12345\xef\xbf\xbd \"quoted\"";  // the file is UTF-8, whatever a model says
  EXPECT_EQ(journal->records().at(expected.key), expected);
  EXPECT_TRUE(journal->has(Sample(2).key));
  EXPECT_FALSE(journal->has(Sample(3).key));
}

TEST_F(RecallJournalTest, DropsALineThatWasNotFinished) {
  {
    Result<RecallJournal> journal = RecallJournal::Open(path_, settings_);
    ASSERT_TRUE(journal.ok());
    ASSERT_TRUE(journal->Add(Sample(0)).ok());
  }
  const std::string whole = Text();
  const size_t second_line = whole.find('\n') + 1;
  for (size_t size = second_line; size < whole.size(); size += 37) {
    Write(whole.substr(0, size));
    Result<RecallJournal> journal = RecallJournal::Open(path_, settings_);
    ASSERT_TRUE(journal.ok()) << journal.status().message();
    EXPECT_TRUE(journal->records().empty());
    ASSERT_TRUE(journal->Add(Sample(0)).ok());
    EXPECT_EQ(Text(), whole);
  }
}

TEST_F(RecallJournalTest, BeginsAgainWhereEvenTheHeaderWasNotFinished) {
  Write("{\"journal\":\"kak");
  Result<RecallJournal> journal = RecallJournal::Open(path_, settings_);
  ASSERT_TRUE(journal.ok()) << journal.status().message();
  EXPECT_EQ(Text().find("{\"journal\":\"kakeya prove\""), 0u);
}

TEST_F(RecallJournalTest, RefusesOtherSettingsAndSaysWhich) {
  ASSERT_TRUE(RecallJournal::Open(path_, settings_).ok());
  Json other = settings_;
  other["seed"] = 8;
  other["restorer"] = "abc";
  other["window"] = 64;
  const std::string before = Text();
  const Result<RecallJournal> journal = RecallJournal::Open(path_, other);
  ASSERT_FALSE(journal.ok());
  EXPECT_EQ(journal.status().code(), StatusCode::kInvalidArgument);
  const std::string& message = journal.status().message();
  EXPECT_NE(message.find("seed is 7 there and 8 here"), std::string::npos) << message;
  EXPECT_NE(message.find("restorer is null there and \"abc\" here"), std::string::npos) << message;
  EXPECT_NE(message.find("window is missing there"), std::string::npos) << message;
  EXPECT_EQ(message.find("n is"), std::string::npos) << message;
  EXPECT_EQ(message.find('\n'), std::string::npos);
  EXPECT_EQ(Text(), before);
}

TEST_F(RecallJournalTest, NeverTouchesWhatIsNoJournal) {
  for (const char* text : {"my notes", "my notes\n", "{\"a\":1}\n", "[]\n", "{\"journal\":3}\n"}) {
    Write(text);
    const Result<RecallJournal> journal = RecallJournal::Open(path_, settings_);
    EXPECT_FALSE(journal.ok()) << text;
    EXPECT_EQ(Text(), text);
  }
}

TEST_F(RecallJournalTest, ShardsAreJoinedByTheirLines) {
  std::string joined;
  for (int64_t shard = 0; shard < 3; ++shard) {
    std::filesystem::remove(path_);
    {
      Result<RecallJournal> journal = RecallJournal::Open(path_, settings_);
      ASSERT_TRUE(journal.ok());
      ASSERT_TRUE(journal->Add(Sample(shard)).ok());
    }
    const std::string text = Text();
    joined += shard == 0 ? text : text.substr(text.find('\n') + 1);
  }
  Write(joined);
  const Result<RecallJournal> journal = RecallJournal::Open(path_, settings_);
  ASSERT_TRUE(journal.ok()) << journal.status().message();
  EXPECT_EQ(journal->records().size(), 3u);
}

TEST_F(RecallJournalTest, NamesTheLineThatIsBroken) {
  {
    Result<RecallJournal> journal = RecallJournal::Open(path_, settings_);
    ASSERT_TRUE(journal.ok());
    ASSERT_TRUE(journal->Add(Sample(0)).ok());
  }
  const std::string whole = Text();
  for (const char* line : {"garbage\n", "{}\n", "{\"task\":\"single\"}\n"}) {
    Write(whole + line);
    const Result<RecallJournal> journal = RecallJournal::Open(path_, settings_);
    ASSERT_FALSE(journal.ok()) << line;
    EXPECT_NE(journal.status().message().find("line 3"), std::string::npos)
        << journal.status().message();
  }
}

TEST_F(RecallJournalTest, IsForOneRunAtATime) {
  Result<RecallJournal> first = RecallJournal::Open(path_, settings_);
  ASSERT_TRUE(first.ok());
  const Result<RecallJournal> second = RecallJournal::Open(path_, settings_);
  ASSERT_FALSE(second.ok());
  EXPECT_NE(second.status().message().find("another run"), std::string::npos);
}

TEST_F(RecallJournalTest, RefusesAFifoAndAFolder) {
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
  EXPECT_FALSE(RecallJournal::Open(path_, settings_).ok());
  EXPECT_FALSE(RecallJournal::Open(testing::TempDir(), settings_).ok());
}

TEST(RecallRecordTest, SurvivesJsonAndNamesWhatIsWrong) {
  RecallRecord record = Sample(4);
  record.answers = {"plain"};
  const Json json = ToJson(record);
  const Result<RecallRecord> again = RecordFromJson(json);
  ASSERT_TRUE(again.ok()) << again.status().message();
  EXPECT_EQ(*again, record);
  for (const auto& [key, value] : json.items()) {
    Json broken = json;
    broken[key] = Json::object();
    EXPECT_FALSE(RecordFromJson(broken).ok()) << key;
    broken.erase(key);
    const Result<RecallRecord> missing = RecordFromJson(broken);
    ASSERT_FALSE(missing.ok()) << key;
    EXPECT_NE(missing.status().message().find(key), std::string::npos);
  }
}

}  // namespace
}  // namespace kakeya
