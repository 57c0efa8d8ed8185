// SPDX-License-Identifier: MIT
// The kernel's console and the power switch: what they refuse. What they do is seen by whoever
// reads the serial port: this suite's lines, and the end of the machine.

#include "abi/operations.h"
#include "tests/guest/ledger.h"

#include <array>

const char* const annulus::test::suite = "console";

namespace annulus::test::cases {
namespace {

constexpr size_t text_max = 1024;

constexpr uint64_t write_word = abi::operation_word(abi::Verb::write, 0);
constexpr uint64_t shutdown_word = abi::operation_word(abi::Verb::shutdown, 0);

}  // namespace
}  // namespace annulus::test::cases

TEST(text, "a text of 1024 bytes is written whole, one more is too many, none is fine") {
    const auto console = MUST(test.environment().handle<Console>(names::console));
    std::array<char, text_max + 1> text;
    text.fill('.');
    text[text_max - 1] = '\n';
    EXPECT_OK(console.write_text(std::as_bytes(std::span(text).first(text_max))));
    EXPECT_ERROR(console.write_text(std::as_bytes(std::span(text))), Error::too_many);
    EXPECT_OK(console.write_text({}));
}

TEST(console_refuses,
     "the console writes nothing that cannot be read, and nothing without a right") {
    const auto console = MUST(test.environment().handle<Console>(names::console));
    // Safety: nothing is mapped there, and the kernel says so.
    const system::Buffer nowhere = {reinterpret_cast<void*>(0x1000), 8, 0};
    EXPECT_ERROR(system::call_buffer(console.value(), write_word, nowhere).status,
                 Error::bad_address);
    const auto mute = MUST(console.get_duplicate(abi::right_of(abi::Verb::get), 0));
    EXPECT(system::call_words(mute.handle.value(), write_word).status ==
           Status(Error::no_right, static_cast<uint16_t>(abi::Verb::write)));
    EXPECT_ERROR(system::call_words(console.value(), shutdown_word).status, Error::no_right);
}

TEST(power_refuses, "the power switch knows three kinds, and does nothing without its right") {
    const auto power = MUST(test.environment().handle<Power>(names::power));
    for (const uint64_t kind : {abi::power_off_failed + 1, uint64_t{1} << 32, ~uint64_t{0}}) {
        EXPECT_ERROR(power.shutdown_now(kind), Error::bad_argument);
    }
    const auto weak = MUST(power.get_duplicate(abi::right_of(abi::Verb::get), 0));
    EXPECT(system::call_words(weak.handle.value(), shutdown_word).status ==
           Status(Error::no_right, static_cast<uint16_t>(abi::Verb::shutdown)));
}
