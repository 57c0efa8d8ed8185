// SPDX-License-Identifier: MIT
// Tests inside the running system: each program is one suite, each case has an id and a sentence.
//
//   const char* const annulus::test::suite = "semaphore";
//
//   TEST(initial_value, "a semaphore starts with its initial value") {
//       auto semaphore = MUST(test.budget().create_semaphore(abi::semaphore_counting, 3, {}, 0));
//       EXPECT_EQ(MUST(semaphore.get_state()).value, 3u);
//   }
//
// Lines, for the runner on the host to read:
//   TEST PASS <suite>.<id> <sentence>
//   TEST FAIL <suite>.<id> <sentence> -- <detail>
//   TEST COUNT <suite> <name> <number>
//   BUDGET <row> <name> instructions=<n> entries=<n> cr3=<n>
//   TEST END <suite> passed=<n> failed=<n>
// A suite without the last line did not finish. After it the program powers the machine off if it
// was handed `power`, and ends otherwise. The argument only=<id> runs a single case.
#pragma once

#include "runtime/program.h"

#include <atomic>
#include <string_view>
#include <type_traits>

namespace annulus::test {

// Defined by each test program.
extern const char* const suite;

// What a running case sees. Usable from several threads.
class Context {
public:
    explicit Context(Environment& environment) : environment_(environment) {}

    Environment& environment() const { return environment_; }
    BudgetReference budget() const;    // empty if none was handed out
    ProcessReference process() const;  // this process

    // Notes a failure; the first one of a case is reported.
    template <typename... Arguments>
    void fail(FormatPattern<std::type_identity_t<Arguments>...> pattern,
              const Arguments&... arguments) {
        // Order: relaxed, it only elects who writes; the reader joins the threads first.
        if (failed_.exchange(true, std::memory_order_relaxed)) return;
        size_ = format(detail_, pattern, arguments...).size();
    }

    bool failed() const { return failed_.load(std::memory_order_relaxed); }
    std::string_view detail() const { return {detail_, size_}; }

private:
    Environment& environment_;
    std::atomic<bool> failed_ = false;
    size_t size_ = 0;
    char detail_[512];
};

using Body = void (*)(Context& test);

// A case registers itself by being constructed before program_main.
class Case {
public:
    Case(const char* id, const char* sentence, Body body);

    static const Case* first();
    const Case* next() const { return next_; }
    std::string_view id() const { return id_; }
    std::string_view sentence() const { return sentence_; }
    Body body() const { return body_; }

private:
    const char* id_;
    const char* sentence_;
    Body body_;
    const Case* next_ = nullptr;
};

// Reports a number that is not judged here.
void report_count(std::string_view name, uint64_t number);

// Reports one row of the performance budget, per operation.
void report_budget(std::string_view row, std::string_view name, uint64_t instructions,
                   uint64_t entries, uint64_t cr3_writes);

// How a compared value is printed: numbers and text as they are, errors by name.
template <typename T>
auto printable(const T& value) {
    if constexpr (std::is_same_v<T, abi::Error>) {
        return std::string_view(abi::name_of(value));
    } else if constexpr (std::is_convertible_v<const T&, std::string_view>) {
        return std::string_view(value);
    } else if constexpr (std::is_pointer_v<T>) {
        return reinterpret_cast<uint64_t>(value);  // Safety: only printed
    } else if constexpr (std::is_enum_v<T>) {
        return static_cast<uint64_t>(value);
    } else {
        return value;
    }
}

// Compares numbers by value, whatever their signs and widths.
template <typename T>
concept Number = std::is_integral_v<T> && !std::is_same_v<T, bool> && !std::is_same_v<T, char>;

template <typename Left, typename Right>
constexpr bool equal(const Left& left, const Right& right) {
    if constexpr (Number<Left> && Number<Right>) {
        return std::cmp_equal(left, right);
    } else {
        return left == right;
    }
}

inline abi::Status status_of(abi::Status status) { return status; }
template <typename T>
abi::Status status_of(const Result<T>& result) {
    return result.status();
}

}  // namespace annulus::test

// A case; its body sees the context as `test`, and the names of namespace annulus.
#define TEST(id, sentence)                           \
    namespace annulus::test::cases {                 \
    static void body_##id(Context& test);            \
    static Case case_##id(#id, sentence, body_##id); \
    }                                                \
    void annulus::test::cases::body_##id([[maybe_unused]] Context& test)

// Notes a failure and goes on.
#define EXPECT(condition)                                                 \
    do {                                                                  \
        if (!(condition)) test.fail("line {}: {}", __LINE__, #condition); \
    } while (false)

#define EXPECT_EQ(actual, wanted)                                                            \
    do {                                                                                     \
        const auto& actual_ = (actual);                                                      \
        const auto& wanted_ = (wanted);                                                      \
        if (!annulus::test::equal(actual_, wanted_)) {                                       \
            test.fail("line {}: {} is {}, not {}", __LINE__, #actual,                        \
                      annulus::test::printable(actual_), annulus::test::printable(wanted_)); \
        }                                                                                    \
    } while (false)

// The expression (a Result or a Status) succeeds.
#define EXPECT_OK(expression)                                                       \
    do {                                                                            \
        const annulus::Status status_ = annulus::test::status_of(expression);       \
        if (!status_.ok()) {                                                        \
            test.fail("line {}: {} answered {} (detail {})", __LINE__, #expression, \
                      annulus::abi::name_of(status_.code()), status_.detail());     \
        }                                                                           \
    } while (false)

// The expression fails with this error.
#define EXPECT_ERROR(expression, wanted_error)                                                     \
    do {                                                                                           \
        const annulus::Status status_ = annulus::test::status_of(expression);                      \
        if (status_.code() != (wanted_error)) {                                                    \
            test.fail("line {}: {} answered {}, not {}", __LINE__, #expression,                    \
                      annulus::abi::name_of(status_.code()), annulus::abi::name_of(wanted_error)); \
        }                                                                                          \
    } while (false)

// The value of a Result; a failure ends the case.
#define MUST(expression)                                                            \
    ({                                                                              \
        auto must_result_ = (expression);                                           \
        if (!must_result_.ok()) {                                                   \
            test.fail("line {}: {} answered {} (detail {})", __LINE__, #expression, \
                      annulus::abi::name_of(must_result_.error()),                  \
                      must_result_.status().detail());                              \
            return;                                                                 \
        }                                                                           \
        std::move(must_result_).value();                                            \
    })
