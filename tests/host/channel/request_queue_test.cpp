// SPDX-License-Identifier: MIT
// Request queues: slots go round, answers come in any order, and every lie about them is caught.
#include "tests/host/channel/shared_memory.h"

#include <gtest/gtest.h>

#include <random>
#include <type_traits>
#include <vector>

namespace annulus::channel {
namespace {

constexpr Geometry four = requests_geometry(2, 8);

class RequestQueueTest : public testing::Test {
protected:
    SharedMemory memory{four};
    const RequestsLayout at = requests_layout(four);
    unsigned rings_of_asker = 0;
    unsigned rings_of_answerer = 0;
    RequestAsker<CountingBell> asker =
        RequestAsker<CountingBell>::attach(memory.bytes(), four, Side::first, {&rings_of_answerer})
            .value();
    RequestAnswerer<CountingBell> answerer =
        RequestAnswerer<CountingBell>::attach(memory.bytes(), four, Side::second, {&rings_of_asker})
            .value();

    static QueuedRequest request(uint32_t slot, uint64_t place, uint32_t length = 8) {
        return {.slot = slot,
                .operation = 3,
                .place = place,
                .length = length,
                .flags = 5,
                .word = ~place};
    }
    uint32_t ask(uint64_t place) {
        const uint32_t slot = asker.acquire().value();
        asker.send(request(slot, place));
        return slot;
    }

    // The peer writes an entry by itself and publishes it.
    template <typename Kind>
    void forge(const Kind& entry, uint32_t index) {
        constexpr bool asks = std::is_same_v<Kind, QueuedRequest>;
        const uint64_t entries = asks ? at.request_entries : at.answer_entries;
        memory.bytes().array_at<Kind>(entries, 4).value().wrapped(index).store(entry);
        memory.scribble(asks ? at.request_ring : at.answer_ring, index + 1);
    }
};
using RequestQueueDeath = RequestQueueTest;

TEST_F(RequestQueueTest, ARequestAndItsAnswerArriveAsTheyWereSent) {
    for (uint64_t round = 0; round < 1000; ++round) {
        const uint32_t slot = ask(round);
        asker.bytes_of(slot).at<uint64_t>(8).value().store(round);
        EXPECT_FALSE(answerer.next()) << "nothing was published";
        asker.publish();
        const auto got = answerer.next();
        ASSERT_TRUE(got);
        EXPECT_EQ(got->slot, slot);
        EXPECT_EQ(got->operation, 3u);
        EXPECT_EQ(got->place, round);
        EXPECT_EQ(got->length, 8u);
        EXPECT_EQ(got->flags, 5u);
        EXPECT_EQ(got->word, ~round);
        EXPECT_EQ(answerer.bytes_of(slot).at<uint64_t>(8).value().freeze(), round);
        answerer.answer({.slot = slot, .count = 7, .status = round << 8});
        EXPECT_FALSE(asker.take()) << "nothing was published";
        answerer.publish();
        const auto answer = asker.take();
        ASSERT_TRUE(answer);
        EXPECT_EQ(answer->slot, slot);
        EXPECT_EQ(answer->count, 7u);
        EXPECT_EQ(answer->status, round << 8);
        asker.release(slot);
    }
}

TEST_F(RequestQueueTest, HasAsManySlotsAsItsGeometrySays) {
    EXPECT_EQ(asker.slot_count(), 4u);
    EXPECT_EQ(asker.buffer_size(), 256u);
    EXPECT_EQ(answerer.slot_count(), 4u);
    EXPECT_EQ(answerer.buffer_size(), 256u);
    for (uint32_t i = 0; i < 4; ++i) EXPECT_EQ(ask(i), i);
    EXPECT_EQ(asker.free_slots(), 0u);
    EXPECT_FALSE(asker.acquire());
    asker.publish();
    EXPECT_EQ(answerer.next().value().slot, 0u);
    answerer.answer({.slot = 0, .count = 0, .status = 0});
    answerer.publish();
    EXPECT_FALSE(asker.acquire()) << "its answer was not taken";
    EXPECT_EQ(asker.take().value().slot, 0u);
    EXPECT_FALSE(asker.acquire()) << "it is the caller's again, not free";
    asker.send(request(0, 9));
    asker.publish();
    answerer.next().value();
    answerer.next().value();
    answerer.next().value();
    EXPECT_EQ(answerer.next().value().place, 9u);
}

TEST_F(RequestQueueTest, SlotsThatWereNotSentCanBeReleased) {
    for (int round = 0; round < 20; ++round) {
        std::vector<uint32_t> slots;
        while (const auto slot = asker.acquire()) slots.push_back(*slot);
        EXPECT_EQ(slots.size(), 4u);
        for (const uint32_t slot : slots) asker.release(slot);
    }
    EXPECT_EQ(asker.free_slots(), 4u);
}

TEST_F(RequestQueueTest, AnswersComeInAnyOrder) {
    std::mt19937 random(7);
    std::vector<QueuedRequest> held;
    std::array<uint64_t, 4> asked{};
    uint64_t sent = 0;
    uint64_t done = 0;
    for (int step = 0; step < 50000; ++step) {
        switch (random() % 6) {
            case 0:
                if (const auto slot = asker.acquire()) {
                    asked[*slot] = sent;
                    asker.send(request(*slot, sent++));
                }
                break;
            case 1: asker.publish(); break;
            case 2:
                if (const auto got = answerer.next()) held.push_back(*got);
                break;
            case 3: {
                if (held.empty()) break;
                std::swap(held[random() % held.size()], held.back());
                const QueuedRequest& last = held.back();
                answerer.answer({.slot = last.slot, .count = 1, .status = last.place});
                held.pop_back();
                break;
            }
            case 4: answerer.publish(); break;
            default:
                if (const auto answer = asker.take()) {
                    ASSERT_EQ(answer->status, asked[answer->slot]);
                    asker.release(answer->slot);
                    ++done;
                }
        }
    }
    EXPECT_GT(done, 1000u);
    EXPECT_LE(sent - done, 4u);
    EXPECT_EQ(asker.fault(), Fault::none);
    EXPECT_EQ(answerer.fault(), Fault::none);
}

TEST_F(RequestQueueTest, ABatchIsOneRingEachWay) {
    EXPECT_EQ(answerer.prepare_wait(), Wait::sleep);
    for (uint32_t i = 0; i < 4; ++i) ask(i);
    EXPECT_EQ(asker.prepare_wait(4), Wait::sleep);
    EXPECT_EQ(rings_of_answerer, 1u);
    while (const auto got = answerer.next()) {
        answerer.answer({.slot = got->slot, .count = 0, .status = 0});
    }
    EXPECT_EQ(answerer.prepare_wait(), Wait::sleep);
    EXPECT_EQ(rings_of_asker, 1u);
    EXPECT_EQ(asker.prepare_wait(), Wait::ready);
}

TEST_F(RequestQueueTest, EitherSideCanAsk) {
    EXPECT_TRUE(RequestAsker<CountingBell>::attach(memory.bytes(), four, Side::second, {nullptr}));
    EXPECT_TRUE(
        RequestAnswerer<CountingBell>::attach(memory.bytes(), four, Side::first, {nullptr}));
}

TEST_F(RequestQueueTest, NeedsAllOfItsMemory) {
    const UntrustedBytes all = memory.bytes();
    const UntrustedBytes less = all.first(at.buffers + 4 * 256 - 1);
    const Geometry packets = packets_geometry(2, 8);
    const Geometry beyond = requests_geometry(max_buffers_log2 + 1, 8);
    EXPECT_FALSE(RequestAsker<CountingBell>::attach(less, four, Side::first, {nullptr}));
    EXPECT_FALSE(RequestAnswerer<CountingBell>::attach(less, four, Side::first, {nullptr}));
    EXPECT_FALSE(RequestAsker<CountingBell>::attach(all, packets, Side::first, {nullptr}));
    EXPECT_FALSE(RequestAnswerer<CountingBell>::attach(all, packets, Side::first, {nullptr}));
    EXPECT_FALSE(RequestAsker<CountingBell>::attach(all, beyond, Side::first, {nullptr}));
    EXPECT_FALSE(RequestAnswerer<CountingBell>::attach(all, beyond, Side::first, {nullptr}));
}

TEST_F(RequestQueueTest, WhoAnswersRefusesImpossibleRequests) {
    const struct {
        QueuedRequest lie;
        Fault fault;
    } lies[] = {{request(4, 0), Fault::buffer_number},
                {request(UINT32_MAX, 0), Fault::buffer_number},
                {request(0, 0, 257), Fault::buffer_range},
                {request(0, 0, UINT32_MAX), Fault::buffer_range}};
    for (const auto& [lie, fault] : lies) {
        auto victim =
            RequestAnswerer<CountingBell>::attach(memory.bytes(), four, Side::second, {nullptr});
        forge(lie, 0);
        EXPECT_FALSE(victim->next());
        EXPECT_EQ(victim->fault(), fault);
        forge(request(0, 0), 0);
        EXPECT_FALSE(victim->next()) << "a fault stays";
    }
    forge(request(3, 0, 256), 0);
    EXPECT_EQ(answerer.next().value().length, 256u);
    forge(request(3, 0), 1);
    EXPECT_FALSE(answerer.next()) << "it is not answered yet";
    EXPECT_EQ(answerer.fault(), Fault::buffer_sent_twice);
    EXPECT_EQ(answerer.prepare_wait(), Wait::faulted);
}

TEST_F(RequestQueueTest, WhoAskedRefusesImpossibleAnswers) {
    const struct {
        QueuedAnswer lie;
        Fault fault;
    } lies[] = {{{4, 0, 0}, Fault::buffer_number},   {{UINT32_MAX, 0, 0}, Fault::buffer_number},
                {{1, 0, 0}, Fault::buffer_not_lent}, {{2, 0, 0}, Fault::buffer_not_lent},
                {{0, 257, 0}, Fault::buffer_range},  {{0, UINT32_MAX, 0}, Fault::buffer_range}};
    for (const auto& [lie, fault] : lies) {
        auto victim =
            RequestAsker<CountingBell>::attach(memory.bytes(), four, Side::first, {nullptr});
        victim->send(request(victim->acquire().value(), 0));
        static_cast<void>(victim->acquire().value());  // slot 1: acquired, not sent
        forge(lie, 0);
        EXPECT_FALSE(victim->take());
        EXPECT_EQ(victim->fault(), fault);
        EXPECT_FALSE(victim->acquire());
        forge(QueuedAnswer{0, 0, 0}, 0);
        EXPECT_FALSE(victim->take()) << "a fault stays";
    }
    ask(0);
    ask(1);
    forge(QueuedAnswer{0, 256, 0}, 0);
    EXPECT_EQ(asker.take().value().count, 256u);
    forge(QueuedAnswer{0, 0, 0}, 1);
    EXPECT_FALSE(asker.take()) << "answered twice";
    EXPECT_EQ(asker.fault(), Fault::buffer_not_lent);
    EXPECT_EQ(asker.prepare_wait(), Wait::faulted);
}

TEST_F(RequestQueueTest, RefusesImpossibleIndices) {
    memory.scribble(at.request_ring + producer_index_offset, 5);
    EXPECT_FALSE(answerer.next());
    EXPECT_EQ(answerer.fault(), Fault::producer_index);
    memory.scribble(at.answer_ring + producer_index_offset, 5);
    EXPECT_FALSE(asker.take());
    EXPECT_EQ(asker.fault(), Fault::producer_index);
}

TEST_F(RequestQueueTest, APeerThatAnswersWithoutPassingTheRequestIsCaught) {
    for (uint32_t i = 0; i < 4; ++i) ask(i);
    asker.publish();
    forge(QueuedAnswer{0, 0, 0}, 0);
    ASSERT_TRUE(asker.take());
    asker.send(request(0, 4));
    EXPECT_EQ(asker.fault(), Fault::consumer_index);
    EXPECT_FALSE(asker.take());
}

TEST_F(RequestQueueTest, APeerThatAsksWithoutPassingTheAnswerIsCaught) {
    for (uint32_t i = 0; i < 5; ++i) {
        forge(request(i % 4, 0), i);
        const auto got = answerer.next();
        ASSERT_TRUE(got);
        answerer.answer({.slot = got->slot, .count = 0, .status = 0});
        answerer.publish();
    }
    EXPECT_EQ(answerer.fault(), Fault::consumer_index);
}

TEST_F(RequestQueueDeath, MisuseByTheProgramItselfStopsIt) {
    EXPECT_DEATH(asker.send(request(0, 0)), "") << "not acquired";
    EXPECT_DEATH(asker.send(request(4, 0)), "");
    EXPECT_DEATH(asker.release(1), "");
    EXPECT_DEATH(static_cast<void>(asker.bytes_of(4)), "");
    EXPECT_DEATH(static_cast<void>(answerer.bytes_of(4)), "");
    EXPECT_DEATH(answerer.answer({0, 0, 0}), "") << "not held";
    const uint32_t slot = asker.acquire().value();
    EXPECT_DEATH(asker.send(request(slot, 0, 257)), "");
    asker.send(request(slot, 0));
    EXPECT_DEATH(asker.send(request(slot, 0)), "") << "sent already";
    EXPECT_DEATH(asker.release(slot), "") << "sent already";
    asker.publish();
    answerer.next().value();
    EXPECT_DEATH(answerer.answer({slot, 257, 0}), "");
}

}  // namespace
}  // namespace annulus::channel
