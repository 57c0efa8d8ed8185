// SPDX-License-Identifier: MIT
// The other side of a measured round trip, in a process of its own.
//
// With `home`: a Server answers every request for an object that goes to `home`; with `mine` and
// `yours` beside it all of this is done by tasks of an executor.
// With `table`: answers every request at once; with `blocks`, too, reads 512 bytes of each before;
// with the argument `answers` it gives as many bytes as the client has room for.
// With `mine` and `yours`: waits for a unit of one semaphore, or an event of a set, and gives one
// of the other, in two system calls if there is an argument, else in one.
// With the argument `end`: ends at once. With `fill`: uses 4 MiB, gives a unit of `yours`, sleeps.
// With `calls`, an object: calls it for ever.
// With `packets`, a channel's end: looks at the first bytes of each buffer and gives it back.
// With `messages` or `bytes`, a channel's end: takes whatever comes, and sleeps.
// With `mirror`, a channel's end: reads messages of as many bytes as the argument says into memory
// of its own, and answers each with a byte.
// With the last argument `awake`, of `table`, `set`, `mirror` and `messages`: the same without ever
// sleeping (awake.h); then messages are sent back.
#include "bench/programs/bench_peer/awake.h"
#include "runtime/coroutine/executor.h"
#include "runtime/program.h"
#include "runtime/system_call.h"

#include <memory>

using namespace annulus;

namespace {

[[noreturn]] void serve(abi::Handle table) {
    system::Delivery request = system::reply_and_wait(table, 0, {}, abi::deadline_never);
    for (;;) {
        request = system::reply_and_wait(table, request.request, {}, abi::deadline_never);
    }
}

[[noreturn]] void serve_answers(abi::Handle table) {
    system::Delivery request = system::reply_and_wait(table, 0, {}, abi::deadline_never);
    for (;;) {
        const system::Reply reply = {
            .status = {}, .words = {}, .bytes_out = static_cast<uint32_t>(request.capacity_out())};
        request = system::reply_and_wait(table, request.request, reply, abi::deadline_never);
    }
}

// `blocks`: the table's data memory, in blocks of 512 bytes.
[[noreturn]] void serve_bytes(abi::Handle table, const uint64_t* blocks) {
    constexpr unsigned words = 64;
    system::Delivery request = system::reply_and_wait(table, 0, {}, abi::deadline_never);
    for (;;) {
        const uint64_t* block = blocks + uint64_t{abi::request_slot(request.request)} * words;
        uint64_t sum = 0;
#pragma clang loop unroll(full)
        for (unsigned i = 0; i < words; ++i) sum += block[i];
        asm volatile("" ::"r"(sum));  // it is looked at
        request = system::reply_and_wait(table, request.request, {}, abi::deadline_never);
    }
}

[[noreturn]] void answer_in_two_calls(abi::Handle mine, abi::Handle yours) {
    for (;;) {
        system::wait(mine, abi::deadline_never);
        system::signal(yours);
    }
}

[[noreturn]] void answer_in_one_call(abi::Handle mine, abi::Handle yours) {
    system::wait(mine, abi::deadline_never);
    for (;;) system::signal_and_wait(yours, mine, abi::deadline_never);
}

// With a set the registers that a semaphore's wait ignores have a meaning: they are zero.
[[noreturn]] void answer_events(abi::Handle set, abi::Handle yours) {
    system::wait(set, 0, abi::deadline_never);
    for (;;) system::signal_and_wait(yours, set, 0, abi::deadline_never);
}

[[noreturn]] void call_for_ever(abi::Handle object) {
    for (;;) system::call_words(object, abi::operation_word(abi::Verb::get, 1));
}

class AnswersAll final : public ServedByThis {
    Answer handle(Request& /*request*/) override { return {}; }
};

Result<void> send_home(abi::Handle home, Served&& object) {
    constexpr uint64_t share = abi::operation_word(abi::Verb::share, 0, 1);
    return system::call_words(home, share, object.release()).status;
}

Result<void> run_server(abi::Handle home) {
    Server server = TRY(Server::create(4, 0));
    AnswersAll object;
    TRY(send_home(home, TRY(server.make_object(object))));
    return server.run();
}

Task<void> answer_all(Requests& requests) {
    for (;;) {
        Incoming request = CO_TRY(co_await requests.next());
        request.reply({});
    }
}

Task<void> give_for_each(EventSource& mine, abi::Handle yours) {
    for (;;) {
        CO_TRY(co_await mine.wait());
        system::signal(yours);
    }
}

Result<void> run_executor(abi::Handle home, ObjectReference mine, abi::Handle yours) {
    const auto executor = TRY(Executor::create({.slots = 4, .block_bytes = 512}));
    Requests requests(*executor);
    EventSource source(*executor);
    TRY(source.attach(mine));
    TRY(send_home(home, TRY(requests.make_object())));
    TaskScope scope;
    TRY(scope.spawn(answer_all(requests)));
    TRY(scope.spawn(give_for_each(source, yours)));
    return executor->run();
}

Result<void> fill_memory(Environment& environment) {
    const std::unique_ptr<std::byte[]> bytes(new std::byte[4 << 20]());
    asm volatile("" ::"r"(bytes.get()) : "memory");
    const auto yours = TRY(environment.handle<Semaphore>("yours"));
    TRY(Result<void>(system::signal(yours.value())));
    const auto budget = TRY(environment.handle<Budget>(names::budget));
    const auto never = TRY(budget.create_semaphore(abi::semaphore_counting, 0, {}, 0));
    return system::wait(never.value(), abi::deadline_never);
}

Result<void> take_messages(Channel end) {
    auto messages = TRY(MessageChannel::attach(end));
    std::array<channel::Message, 32> batch;
    for (;;) {
        TRY(messages.wait_received());
        static_cast<void>(messages.receiver().receive(batch));
        asm volatile("" ::"r"(&batch) : "memory");  // they are looked at
    }
}

Result<void> take_bytes(Channel end) {
    auto bytes = TRY(ByteChannel::attach(end));
    for (;;) {
        for (;;) {
            const auto run = bytes.reader().peek();
            if (run.empty()) break;
            // As buffers of 4 KiB, though all that is there is one run.
            const size_t taken = run.size() < 4096 ? run.size() : 4096;
            bytes.reader().release(static_cast<uint32_t>(taken));
        }
        TRY(bytes.wait_readable());
    }
}

Result<void> return_packets(Channel end) {
    auto packets = TRY(PacketChannel::attach(end));
    for (;;) {
        TRY(packets.wait_received());
        while (const auto packet = packets.receiver().receive()) {
            std::array<std::byte, 8> first;
            if (!packet->bytes.freeze(0, first)) return Error::bad_argument;
            asm volatile("" ::"r"(&first) : "memory");  // they are looked at
            packets.receiver().release(packet->descriptor.buffer);
        }
    }
}

uint64_t number(std::string_view digits) {
    uint64_t value = 0;
    for (const char digit : digits) value = value * 10 + static_cast<uint64_t>(digit - '0');
    return value;
}

Result<void> answer_messages(Channel end, uint64_t size) {
    auto bytes = TRY(ByteChannel::attach(end));
    const std::unique_ptr<std::byte[]> message(new std::byte[size]());
    for (;;) {
        TRY(bytes.read_all({message.get(), size}));
        TRY(bytes.write(std::span<const std::byte>(message.get(), 1)));
    }
}

}  // namespace

Result<void> annulus::program_main(Environment& environment) {
    const std::string_view wanted =
        environment.argument_count() > 0 ? environment.argument(0) : std::string_view();
    const bool awake = environment.argument_count() > 0 &&
                       environment.argument(environment.argument_count() - 1) == "awake";
    if (wanted == "end") return {};
    if (wanted == "fill") return fill_memory(environment);
    if (auto table = environment.handle<Table>("table"); table.ok()) {
        if (wanted == "answers") serve_answers(table->value());
        if (awake) bench::serve_awake(table->value());
        const auto blocks = environment.handle<Memory>("blocks");
        if (!blocks.ok()) serve(table->value());
        const auto process = TRY(environment.handle<Process>(names::process));
        const uint64_t at = TRY(process.map(*blocks, 0, abi::page_size, 0, abi::map_read));
        // Safety: just mapped there.
        serve_bytes(table->value(), reinterpret_cast<const uint64_t*>(at));
    }
    if (auto object = environment.handle<Object>("calls"); object.ok()) {
        call_for_ever(object->value());
    }
    if (auto end = environment.take<Channel>("packets"); end.ok()) {
        return return_packets(std::move(*end));
    }
    if (auto end = environment.take<Channel>("messages"); end.ok()) {
        if (awake) return bench::return_messages_awake(std::move(*end));
        return take_messages(std::move(*end));
    }
    if (auto end = environment.take<Channel>("bytes"); end.ok()) {
        return take_bytes(std::move(*end));
    }
    if (auto end = environment.take<Channel>("mirror"); end.ok()) {
        const uint64_t size = number(environment.argument(0));
        if (awake) return bench::answer_messages_awake(std::move(*end), size);
        return answer_messages(std::move(*end), size);
    }
    const auto home = environment.handle<Object>("home");
    const bool events = environment.handle<Semaphore>("yours").ok();
    if (home.ok() && !events) return run_server(home->value());
    const auto yours = TRY(environment.handle<Semaphore>("yours"));
    if (auto set = environment.handle<Set>("set"); set.ok()) {
        if (awake) bench::answer_events_awake(set->value(), yours.value());
        answer_events(set->value(), yours.value());
    }
    const auto mine = TRY(environment.handle<Semaphore>("mine"));
    if (home.ok()) return run_executor(home->value(), mine, yours.value());
    if (environment.argument_count() > 0) answer_in_two_calls(mine.value(), yours.value());
    answer_in_one_call(mine.value(), yours.value());
}
