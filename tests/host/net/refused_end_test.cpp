// SPDX-License-Identifier: MIT
// Tests of the end of what is sent, when it meets a closed window.
#include "tests/host/net/pair.h"

namespace annulus::net {
namespace {

using namespace test;
using abi::Verb;

class RefusedEndTest : public PairTest {
protected:
    void SetUp() override {
        listen(96);
        connect(96);
    }

    // The client writes `bytes`, with time between the parts or without.
    void write(size_t bytes, bool with_time) {
        while (bytes > 0) {
            const std::string part(std::min(bytes, Loop::block_bytes), 'x');
            const Asked& asked = loop_.wait(loop_.ask(*client_, Verb::write, part));
            ASSERT_TRUE(asked.answered);
            ASSERT_GT(asked.outcome.words[0], 0u);
            bytes -= asked.outcome.words[0];
            if (with_time) loop_.run();
        }
    }
    void end() { static_cast<void>(loop_.ask(*client_, Verb::shutdown, {}, abi::shutdown_send)); }
    // Reads to the end, and answers how many bytes came.
    size_t read_all() {
        size_t got = 0;
        for (;;) {
            const Asked& part = loop_.wait(loop_.ask(*server_, Verb::read), 60 * second);
            EXPECT_TRUE(part.answered);
            EXPECT_EQ(part.outcome.status.code(), Error::ok);
            if (!part.answered || part.bytes.empty()) return got;
            got += part.bytes.size();
        }
    }
    // What is left arrives without a wait for a timer.
    void expect_prompt(size_t bytes) {
        const uint64_t begin = loop_.now();
        EXPECT_EQ(read_all(), bytes);
        EXPECT_LT(loop_.now() - begin, 200 * millisecond);
    }
};

TEST_F(RefusedEndTest, an_end_behind_a_full_window_comes_with_the_last_byte) {
    write(TCP_WND, true);
    end();
    loop_.run(second);
    expect_prompt(TCP_WND);
}

TEST_F(RefusedEndTest, an_end_that_was_refused_many_times_comes_with_the_last_byte) {
    write(TCP_WND, true);
    end();
    loop_.run(50 * second);
    expect_prompt(TCP_WND);
}

TEST_F(RefusedEndTest, an_end_that_shares_its_segment_with_the_last_bytes_comes_with_them) {
    write(TCP_WND, false);
    end();
    loop_.run(10 * second);
    expect_prompt(TCP_WND);
}

TEST_F(RefusedEndTest, bytes_that_wait_for_the_window_come_before_the_end) {
    write(2 * TCP_WND, false);
    end();
    loop_.run(10 * second);
    expect_prompt(2 * TCP_WND);
}

TEST_F(RefusedEndTest, a_window_that_opens_a_little_lets_the_end_in) {
    write(TCP_WND, true);
    end();
    loop_.run(4 * second);
    // Less than the window moves for: the rest is read later.
    const Asked& part = loop_.wait(loop_.ask(*server_, Verb::read));
    ASSERT_FALSE(part.bytes.empty());
    loop_.run(30 * second);
    expect_prompt(TCP_WND - part.bytes.size());
}

}  // namespace
}  // namespace annulus::net
