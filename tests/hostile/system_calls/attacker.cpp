// SPDX-License-Identifier: MIT
// Random system calls that are wrong in interesting ways: mostly well-formed, with live, stale and
// random handles, and argument pages that another thread changes.

#include "tests/hostile/system_calls/attacker.h"

namespace annulus::test::attack {

namespace {

// xorshift64* (Vigna, "An experimental exploration of Marsaglia's xorshift generators", 2016).
class Random {
public:
    explicit Random(uint64_t seed) : state_(seed | 1) {}
    uint64_t next() {
        state_ ^= state_ >> 12;
        state_ ^= state_ << 25;
        state_ ^= state_ >> 27;
        return state_ * 0x2545f4914f6cdd1d;
    }
    unsigned below(unsigned limit) { return static_cast<unsigned>((next() >> 32) % limit); }
    bool one_in(unsigned times) { return below(times) == 0; }

private:
    uint64_t state_;
};

constexpr uint64_t number(abi::SystemCall call) { return static_cast<uint64_t>(call); }

class Attacker {
public:
    Attacker(Child::Word* words, uint64_t seed) : words_(words), pool_(words), random_(seed) {}

    void step() {
        fill();
        const unsigned kind = random_.below(20);
        if (kind < 14) return call();
        if (kind < 16) return serve();
        if (kind < 17) return wait_any();
        if (kind < 18) return wait_or_signal();
        if (kind < 19) return enter_ring();
        // A number next to those that there are, or any; never `exit`, which would end it soon.
        registers_.rax = random_.next() << 16;
        enter();
    }

private:
    abi::ObjectType any_type() {
        return static_cast<abi::ObjectType>(random_.below(abi::object_type_count));
    }

    abi::Handle handle(abi::ObjectType type) {
        if (random_.one_in(12)) type = any_type();
        while (type == abi::ObjectType::any || (!pool_.has(type) && !random_.one_in(4))) {
            type = any_type();
        }
        last_type_ = type;
        const abi::Handle known = pool_.get(type, random_.below(Pool::of_each_type));
        switch (random_.below(24)) {
            case 0: return random_.next();
            case 1: return known - (uint64_t{1} << 32);
            case 2: return known + (uint64_t{1} << 32);
            case 3: return abi::make_handle(random_.below(600), 1 + random_.below(3));
            default: return known;
        }
    }

    uint64_t address() {
        const uint64_t end = argument_pages * abi::page_size;
        switch (random_.below(8)) {
            case 0: return arguments_at + end - random_.below(300);
            case 1: return arguments_at + abi::page_size - random_.below(64);
            case 2: return random_.next();
            default: return arguments_at + random_.below(1024) * 8;
        }
    }

    uint64_t word() {
        switch (random_.below(10)) {
            case 0: return 0;
            case 1: return 1;
            case 2: return random_.below(16);
            case 3: return random_.below(64);
            case 4: return random_.below(32) * abi::page_size;
            case 5: return uint64_t{1} << random_.below(64);
            case 6: return ~uint64_t{0} << random_.below(64);
            case 7: return address();
            case 8: return words_[soon].load();
            default: return random_.next();
        }
    }

    uint64_t deadline() {
        return random_.one_in(8) ? words_[soon].load() : uint64_t{random_.below(2)};
    }

    void fill() {
        for (uint64_t* one :
             {&registers_.rax, &registers_.rbx, &registers_.rdx, &registers_.rsi, &registers_.rdi,
              &registers_.rbp, &registers_.r8, &registers_.r9, &registers_.r10, &registers_.r12,
              &registers_.r13, &registers_.r14, &registers_.r15}) {
            *one = random_.one_in(2) ? random_.next() : random_.below(4);
        }
    }

    // Operations after which little is left to attack with are rare.
    bool ends_it(const abi::Operation& operation) const {
        if (operation.verb == abi::Verb::remove) return true;
        return operation.object == abi::ObjectType::process && operation.verb == abi::Verb::map &&
               operation.selector != 0;
    }

    bool reachable(abi::ObjectType type) const {
        return type == abi::ObjectType::any || pool_.has(type);
    }

    void call() {
        const abi::Operation* operation = nullptr;
        do {
            operation = &abi::operations[random_.below(abi::operation_count)];
        } while ((ends_it(*operation) && !random_.one_in(300)) ||
                 (operation->verb == abi::Verb::close && !random_.one_in(8)) ||
                 (operation->verb == abi::Verb::shutdown && !random_.one_in(20)) ||
                 (!reachable(operation->object) && !random_.one_in(50)));
        registers_.rax = number(abi::SystemCall::call);
        registers_.rdi = handle(operation->object);
        const abi::ObjectType target = last_type_;
        unsigned mask = 0;
        uint64_t* const at[] = {&registers_.rdx, &registers_.r8,  &registers_.r9,
                                &registers_.r10, &registers_.r12, &registers_.r13};
        for (unsigned i = 0; i < abi::message_words; ++i) {
            const abi::Operand& operand = operation->in[i];
            *at[i] = value(operand);
            if (operand.kind == abi::OperandKind::moved) mask |= 1u << i;
        }
        if (random_.one_in(40)) mask = random_.below(64);
        registers_.rsi = abi::operation_word(operation->verb, operation->selector, mask);
        registers_.r14 = deadline();
        registers_.r15 = address();
        registers_.rbx = extent(operation->transfer);
        registers_.rsi |= abi::call_deadline;
        if (registers_.rbx != 0 || random_.one_in(2)) registers_.rsi |= abi::call_buffer;
        if (!random_.one_in(30)) registers_.rsi |= abi::call_takes_handles;
        if (random_.one_in(60)) registers_.rsi = random_.next();
        enter();
        note_handles(*operation, target);
    }

    uint64_t value(const abi::Operand& operand) {
        switch (operand.kind) {
            case abi::OperandKind::absent: return random_.one_in(50) ? word() : 0;
            case abi::OperandKind::word: return word();
            case abi::OperandKind::flags: return random_.one_in(20) ? word() : random_.below(16);
            case abi::OperandKind::handle:
            case abi::OperandKind::moved: return random_.one_in(20) ? 0 : handle(operand.type);
        }
        return 0;
    }

    uint64_t extent(abi::Transfer transfer) {
        if (random_.one_in(20)) return random_.next();
        const uint64_t count = random_.one_in(4) ? random_.below(9000) : random_.below(300);
        switch (transfer) {
            case abi::Transfer::bytes_in: return count;
            case abi::Transfer::bytes_out: return count << 32;
            default: return random_.one_in(10) ? count : 0;
        }
    }

    // Handles that came with the answer are used from now on.
    void note_handles(const abi::Operation& operation, abi::ObjectType target) {
        if (registers_.rax != 0) return;
        const uint64_t at[] = {registers_.rdx, registers_.r8,  registers_.r9,
                               registers_.r10, registers_.r12, registers_.r13};
        for (unsigned i = 0; i < abi::message_words; ++i) {
            if ((registers_.rsi >> i & 1) == 0) continue;
            abi::ObjectType type = operation.out[i].type;
            if (type == abi::ObjectType::any || type == abi::ObjectType::none) type = target;
            pool_.add(type, at[i]);
        }
    }

    void serve() {
        registers_.rax = number(abi::SystemCall::reply_and_wait);
        registers_.rdi = handle(abi::ObjectType::table);
        registers_.rsi = random_.one_in(2) ? request_ : 0;
        if (random_.one_in(200)) registers_.rsi = random_.next();
        registers_.r15 = random_.one_in(2) ? 0 : random_.next();
        registers_.rbx = random_.below(64) | (random_.one_in(3) ? uint64_t{1} << 48 : 0);
        if (random_.one_in(3)) {
            registers_.rbx |= uint64_t{random_.below(64)} << 32;
            registers_.rdx = handle(abi::ObjectType::any);
            registers_.r8 = handle(abi::ObjectType::any);
        }
        registers_.rbx |= abi::reply_deadline;
        if (random_.one_in(50)) registers_.rbx = random_.next();
        registers_.r14 = deadline();
        enter();
        if (abi::Status(registers_.rax).ok()) request_ = registers_.rsi;
    }

    abi::ObjectType waitable() {
        const abi::ObjectType types[] = {abi::ObjectType::semaphore, abi::ObjectType::semaphore,
                                         abi::ObjectType::set, abi::ObjectType::channel};
        return types[random_.below(4)];
    }

    void enter_ring() {
        registers_.rax = number(abi::SystemCall::enter);
        registers_.rdi = handle(abi::ObjectType::ring);
        registers_.rsi = random_.one_in(10) ? random_.next() : random_.below(3);
        if (random_.one_in(5)) registers_.rsi |= abi::enter_only_waits;
        registers_.r10 = deadline();
        enter();
    }

    void wait_any() {
        registers_.rax = number(abi::SystemCall::wait_any);
        registers_.rdi = address();
        registers_.rsi = random_.one_in(10) ? random_.next() : random_.below(130);
        registers_.rdx = deadline();
        // Safety: the page may be gone at any time: then this thread stops, as it deserves. The
        // first page is never unmapped.
        if (random_.one_in(2)) {
            registers_.rdi = arguments_at + 2048;
            registers_.rsi = 1 + random_.below(8);
            auto* entries = reinterpret_cast<volatile uint64_t*>(arguments_at + 2048);
            for (unsigned i = 0; i < 8; ++i) {
                entries[2 * i] = handle(waitable());
                entries[2 * i + 1] = random_.below(4);
            }
        }
        enter();
    }

    void wait_or_signal() {
        const abi::SystemCall calls[] = {abi::SystemCall::wait, abi::SystemCall::signal,
                                         abi::SystemCall::signal_and_wait};
        const abi::SystemCall call = calls[random_.below(3)];
        registers_.rax = number(call);
        registers_.rdi = handle(waitable());
        registers_.rsi = call == abi::SystemCall::signal_and_wait ? handle(waitable()) : word();
        registers_.rdx = deadline();
        enter();
    }

    void enter() {
        system::annulus_raw_system_call(&registers_);
        words_[attack::calls].fetch_add(1);
        if (abi::Status(registers_.rax).ok()) words_[successes].fetch_add(1);
    }

    Child::Word* words_;
    Pool pool_;
    Random random_;
    system::Registers registers_{};
    uint64_t request_ = 0;
    abi::ObjectType last_type_ = abi::ObjectType::any;  // what handle() chose last
};

}  // namespace

void call_at_random(Child::Word* words) {
    const uint64_t number_of_thread = words[threads].fetch_add(1);
    Attacker attacker(words, words[seed].load() * (2 * number_of_thread + 3));
    for (;;) attacker.step();
}

// Changes the argument pages under the others' calls: what is in the first, and whether the last
// ones are there and may be written.
void change_arguments(Child::Word* words) {
    Random random(words[seed].load() * 7);
    const Pool pool(words);
    const abi::Handle process = pool.get(abi::ObjectType::process, 0);
    const abi::Handle memory = pool.get(abi::ObjectType::memory, 0);
    const uint64_t last = arguments_at + (argument_pages - 1) * abi::page_size;
    for (;;) {
        // Safety: the first pages of the attacker's own arguments.
        auto* bytes = reinterpret_cast<volatile uint64_t*>(arguments_at);
        for (unsigned i = 0; i < 200; ++i) {
            bytes[random.below(2 * abi::page_size / 8)] =
                random.below(2) ? random.next() : random.below(64);
        }
        const ProcessReference own(process);
        static_cast<void>(own.map_protect(last, abi::page_size, abi::map_read));
        static_cast<void>(own.map_unmap(last, abi::page_size));
        static_cast<void>(own.map(MemoryReference(memory), (argument_pages - 1) * abi::page_size,
                                  abi::page_size, last,
                                  abi::map_read | abi::map_write | abi::map_fixed));
    }
}

}  // namespace annulus::test::attack
