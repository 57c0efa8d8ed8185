// SPDX-License-Identifier: MIT
// The server's loop.

#include "runtime/server.h"

#include "abi/operations.h"
#include "base/align.h"
#include "runtime/program_state.h"

#include <new>

namespace annulus {

namespace {

void close_masked(const system::Words& words, unsigned mask) {
    for (unsigned i = 0; i < abi::message_words; ++i) {
        if ((mask >> i & 1) != 0) close_handle(words[i]);
    }
}

// Safety: cookies are the addresses that make_object gave the kernel, and come back unchanged; the
// object lives until its close notice.
ServedByThis& object_of(uint64_t cookie) { return *reinterpret_cast<ServedByThis*>(cookie); }

}  // namespace

void Request::close_arrived(TakenRequest& taken) {
    abi::RequestHeader& header = taken.delivery.header;
    close_masked(taken.delivery.words, header.handle_mask());
    for (unsigned i = 0; i < abi::message_words; ++i) header.clear_handle(i);
}

void Request::settle_rest(TakenRequest& taken, Answer& answer) {
    // An error of more than a status has handles of its own.
    if (answer.reply_.status.ok() || !answer.plain()) return close_arrived(taken);
    abi::RequestHeader& header = taken.delivery.header;
    answer.reply_.moved_mask = header.handle_mask() | Answer::returned;
    answer.reply_.words = taken.delivery.words;
    for (unsigned i = 0; i < abi::message_words; ++i) header.clear_handle(i);
}

void close_moved(const Answer& answer) {
    close_masked(answer.reply().words, answer.reply().moved_mask);
}

Result<Server> Server::create(unsigned slots, size_t block_bytes) {
    const BudgetReference budget = program_state.budget;
    const ProcessReference process = program_state.process;
    if (budget.empty() || process.empty()) return Error::not_granted;
    if (slots == 0 || slots > abi::table_slots_max) return Status(Error::bad_argument, 0);
    if (block_bytes > abi::table_block_max) return Status(Error::bad_argument, 1);
    const uint64_t bytes = align_up(slots * block_bytes, abi::page_size);
    if (bytes == 0) {
        Table table = TRY(budget.create_table(slots, 0, MemoryReference(), 0));
        return Server(std::move(table), 0, 0, 0);
    }
    const Memory memory = TRY(budget.create_memory(bytes / abi::page_size, 0));
    // The table pins the memory and the mapping keeps it: the handle is not needed any more.
    Table table = TRY(budget.create_table(slots, block_bytes, memory, 0));
    const uint64_t blocks = TRY(process.map(memory, 0, bytes, 0, abi::map_read | abi::map_write));
    return Server(std::move(table), blocks, block_bytes, bytes);
}

Server::Server(Server&& other)
    : table_(std::move(other.table_)),
      blocks_(other.blocks_),
      block_bytes_(other.block_bytes_),
      mapped_(std::exchange(other.mapped_, 0)),
      stopping_(other.stopping_) {}

Server::~Server() {
    table_.close();
    if (mapped_ != 0) static_cast<void>(program_state.process.map_unmap(blocks_, mapped_));
}

Result<Served> Server::make_object(ServedByThis& object, abi::Rights rights, uint64_t payer) const {
    return table_.create_object(reinterpret_cast<uint64_t>(&object), rights, payer);
}

std::span<std::byte> Server::block_of(uint64_t request) const {
    // Safety: the kernel names only slots of this table, and slot i owns block i.
    auto* begin = reinterpret_cast<std::byte*>(blocks_ + abi::request_slot(request) * block_bytes_);
    return {begin, block_bytes_};
}

// `answer` becomes the answer. Inlined: it is on every request's way.
[[gnu::always_inline]] inline void Server::serve(TakenRequest& taken, Answer& answer) const {
    taken.block = block_of(taken.delivery.request);
    Request request(taken);
    // Made in place: an answer is eight words, and assigning it would copy them.
    new (&answer) Answer(object_of(taken.delivery.cookie).handle(request));
    request.taken_ = nullptr;
    if (!Request::has_space_for(taken, answer)) [[unlikely]] {
        close_moved(answer);
        answer = Error::faulted;
    }
    if (Request::has_rest(taken)) [[unlikely]]
        Request::settle_rest(taken, answer);
}

// The answer to `request` did not arrive as given. Its handles are still ours; if the client is
// still there, it gets the reason instead.
void Server::recover(uint64_t request, const Answer& answer, abi::Status outcome) const {
    close_moved(answer);
    if ((outcome.detail() & abi::delivery_reply_failed) == 0) return;
    const auto reason = static_cast<Error>(outcome.extra());
    const system::Reply refusal = {.status = answer.returns() ? answer.reply().status : reason,
                                   .words = {},
                                   .bytes_out = 0,
                                   .moved_mask = 0};
    static_cast<void>(system::reply_and_wait(table_.value(), request, refusal, abi::deadline_poll,
                                             abi::reply_only));
}

Result<void> Server::reply(uint64_t request, const Answer& answer) const {
    return deliver(request, answer).status();
}

Result<bool> Server::deliver(uint64_t request, const Answer& answer) const {
    const auto delivery = system::reply_and_wait(table_.value(), request, answer.reply(),
                                                 abi::deadline_poll, abi::reply_only);
    if (!delivery.status.ok()) return delivery.status;
    if (delivery.status.detail() == 0) return true;
    recover(request, answer, delivery.status);
    return false;
}

// Errors, events and close notices. True: it was a request, which comes with the outcome of the
// answer before it.
Result<bool> Server::take_other(const system::Delivery& delivery, BesideRequests* beside) {
    const Status status = delivery.status;
    if (!status.ok()) {
        if (status.code() == Error::timed_out && beside != nullptr) return false;
        return status;
    }
    if ((status.detail() & abi::delivery_event) != 0) {
        const bool closed = (status.detail() & abi::delivery_event_closed) != 0;
        if (beside != nullptr) beside->event(delivery.cookie, closed);
        return false;
    }
    if ((status.detail() & abi::delivery_close) != 0) {
        object_of(delivery.cookie).closed();
        return false;
    }
    return true;
}

Result<void> Server::run(BesideRequests* beside) {
    stopping_ = false;
    uint64_t answered = 0;  // the request that `answer` answers; 0: none
    Answer answer;
    TakenRequest taken;
    while (!stopping_) {
        const Deadline next = beside == nullptr ? Deadline::never() : beside->turn();
        taken.delivery = system::reply_and_wait(table_.value(), std::exchange(answered, 0),
                                                answer.reply(), next.at);
        if (taken.delivery.status == Status() || TRY(take_other(taken.delivery, beside)))
            [[likely]] {
            serve(taken, answer);
            answered = taken.delivery.request;
            if (answer.plain()) [[likely]]
                continue;
            if (!answer.is_later()) TRY(reply(answered, answer));
            answered = 0;
        }
        answer = Answer();
    }
    return answered == 0 ? Result<void>() : reply(answered, answer);
}

}  // namespace annulus
