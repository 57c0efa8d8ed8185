// SPDX-License-Identifier: MIT
// Serving objects, one request at a time: a table, and the loop over reply_and_wait.
//
//   class Counter final : public ServedByThis {
//       Answer handle(Request& request) override {
//           if (!request.is(abi::Verb::get, 0)) return Error::bad_operation;
//           return Answer::with_words(++count_);
//       }
//       uint64_t count_ = 0;
//   };
//
//   Server server = TRY(Server::create(4, 4096));
//   Counter counter;
//   Served object = TRY(server.make_object(counter));   // hand it to a client
//   return server.run();
//
// Requests of all objects arrive in one table; the cookie says which object. The kernel keeps it,
// so it can be the object's address.
#pragma once

#include "base/result.h"
#include "generated/objects.h"
#include "runtime/deadline.h"

#include <cstddef>
#include <span>

namespace annulus {

// What the client gets: a status, words, bytes at the begin of the block, handles.
class Answer {
public:
    Answer() = default;
    Answer(Status status) { reply_.status = status; }
    Answer(Error error) { reply_.status = Status(error); }
    Answer(const Result<void>& result) { reply_.status = result.status(); }

    template <typename... Numbers>
    static Answer with_words(Numbers... numbers) {
        static_assert(sizeof...(Numbers) <= abi::message_words);
        Answer answer;
        answer.reply_.words = {{static_cast<uint64_t>(numbers)...}};
        return answer;
    }

    // `count` bytes that were put into Request::space().
    static Answer with_bytes(size_t count) {
        Answer answer;
        answer.reply_.bytes_out = static_cast<uint32_t>(count);
        return answer;
    }

    // The same beside words or handles.
    Answer& add_bytes(size_t count) {
        reply_.bytes_out = static_cast<uint32_t>(count);
        return *this;
    }

    // The handle moves to the client as word `word`. Should the client not be able to take it, it
    // is closed and the client gets no_room.
    template <typename Reference>
    Answer& give(unsigned word, Owned<Reference>&& handle) {
        reply_.words[word] = handle.release();
        reply_.moved_mask |= 1u << word;
        return *this;
    }
    template <typename Reference>
    static Answer with_handle(Owned<Reference>&& handle) {
        Answer answer;
        answer.give(0, std::move(handle));
        return answer;
    }

    // No answer yet: the server keeps Request::id() and calls Server::reply later, in any order.
    static Answer later() {
        Answer answer;
        answer.reply_.moved_mask = no_answer_yet;
        return answer;
    }

    // Leaves with the next wait, as most answers do. One with handles goes out by itself: handles
    // that cannot arrive come back with its outcome, and would stay open until the next request.
    bool plain() const { return reply_.moved_mask == 0; }
    bool is_later() const { return (reply_.moved_mask & no_answer_yet) != 0; }
    const system::Reply& reply() const { return reply_; }
    // Whether its handles are the request's own, on their way back.
    bool returns() const { return (reply_.moved_mask & returned) != 0; }

private:
    friend class Request;
    // A bit that no word has; the kernel never sees it.
    static constexpr uint32_t no_answer_yet = uint32_t{1} << 31;
    static constexpr uint32_t returned = abi::reply_returns >> 32;

    system::Reply reply_;
};

// A request that was taken: what came in registers, and the block of its slot.
struct TakenRequest {
    system::Delivery delivery;
    std::span<std::byte> block;
};

// A view of a taken request, which outlives it. Everything in it comes from the client, whom
// nothing is known of.
class Request {
public:
    explicit Request(TakenRequest& taken) : taken_(&taken) {}
    Request(const Request&) = delete;
    Request& operator=(const Request&) = delete;
    ~Request() {
        if (taken_ != nullptr) close_rest(*taken_);
    }

    bool is(abi::Verb verb, uint16_t selector) const {
        return header().verb() == verb && header().selector() == selector;
    }
    abi::Verb verb() const { return header().verb(); }
    uint16_t selector() const { return header().selector(); }
    uint64_t word(unsigned index) const { return taken_->delivery.words[index]; }
    abi::Rights rights() const { return header().rights(); }  // of the client's handle
    uint64_t cookie() const { return taken_->delivery.cookie; }
    // The client's key: the same for one payer.
    uint64_t client() const { return taken_->delivery.client; }
    Deadline deadline() const { return {taken_->delivery.deadline}; }
    unsigned hops() const { return header().hops(); }
    uint64_t id() const { return taken_->delivery.request; }

    // What the client sent. Untrusted, but only the kernel writes to the block while the request is
    // taken, so it does not change between a check and its use. After the answer it is anybody's.
    std::span<const std::byte> bytes() const { return of_block(taken_->delivery.bytes_in()); }
    // Where answered bytes go: as many as the client has room for. The same memory as bytes().
    std::span<std::byte> space() const { return of_block(taken_->delivery.capacity_out()); }

    // The most bytes that one request moves: the size of the server's blocks.
    size_t block_bytes() const { return taken_->block.size(); }

    // Takes the handle that came as word `index`; empty if that word is none. What is not taken
    // goes back to the client with an error, and is closed with any other answer.
    template <typename T>
    T take_handle(unsigned index) {
        if (index >= abi::message_words || (header().handle_mask() >> index & 1) == 0) return T();
        taken_->delivery.header.clear_handle(index);
        return T(taken_->delivery.words[index]);
    }
    // The same handle for a look, without taking it.
    template <typename Reference>
    Reference peek_handle(unsigned index) const {
        if (index >= abi::message_words || (header().handle_mask() >> index & 1) == 0) return {};
        return Reference(taken_->delivery.words[index]);
    }
    // Undoes take_handle(index), with the handle that it gave. Nothing if it is empty by now.
    template <typename Reference>
    void put_back(unsigned index, Owned<Reference>&& handle) {
        if (handle.empty()) return;
        static_cast<void>(handle.release());
        taken_->delivery.header.set_handle(index);
    }

    // Whether every word that is not in the mask is 0, as unused words must be.
    bool no_words_but(unsigned mask) const {
        for (unsigned i = 0; i < abi::message_words; ++i) {
            if ((mask >> i & 1) == 0 && word(i) != 0) return false;
        }
        return true;
    }

protected:
    Request(Request&& other) : taken_(std::exchange(other.taken_, nullptr)) {}

    // Closes the handles that nobody took.
    static void close_rest(TakenRequest& taken) {
        if (has_rest(taken)) [[unlikely]]
            close_arrived(taken);
    }
    static bool has_rest(const TakenRequest& taken) {
        return taken.delivery.header.handle_mask() != 0;
    }
    // The handles that nobody took: they become part of an error, and are closed otherwise.
    [[gnu::noinline, gnu::cold, clang::preserve_most]] static void settle_rest(TakenRequest& taken,
                                                                               Answer& answer);
    // More would break the protocol and fault the table. There is a request.
    static bool has_space_for(const TakenRequest& taken, const Answer& answer) {
        const uint32_t bytes = answer.reply().bytes_out;
        return bytes == 0 ||
               (bytes <= taken.delivery.capacity_out() && bytes <= taken.block.size());
    }

    TakenRequest* taken_;  // null: moved away, or answered

private:
    friend class Server;
    const abi::RequestHeader& header() const { return taken_->delivery.header; }
    std::span<std::byte> of_block(size_t most) const {
        return taken_->block.first(most < taken_->block.size() ? most : taken_->block.size());
    }
    // Keeps the caller's registers, and does not see the request's address: so a request that is
    // answered at once needs no memory of its own.
    [[gnu::noinline, gnu::cold, clang::preserve_most]] static void close_arrived(
        TakenRequest& taken);
};

// An object that a server exposes. It stays alive until closed() was called or the server is gone.
class ServedByThis {
public:
    // Answers one request. Unknown operations are bad_operation.
    virtual Answer handle(Request& request) = 0;

    // Nobody holds a handle to it any more; it may delete itself.
    virtual void closed() {}

protected:
    ~ServedByThis() = default;
};

// Answers with a record; too_many if the client has no room for it.
template <typename Record>
Answer answer_record(const Request& request, const Record& record) {
    const auto space = request.space();
    if (space.size() < sizeof(record)) return Error::too_many;
    __builtin_memcpy(space.data(), &record, sizeof(record));
    return Answer::with_bytes(sizeof(record));
}

// What a server does beside requests.
class BesideRequests {
public:
    // Called before each wait: does what is due, and says when it wants to be called again at the
    // latest.
    virtual Deadline turn() = 0;

    // A member of the set that is bound to the table is ready (table().set_events); `closed`: it
    // ended, and is no member any more.
    virtual void event(uint64_t /*key*/, bool /*closed*/) {}

protected:
    ~BesideRequests() = default;
};

// Closes the handles of an answer that is not given.
void close_moved(const Answer& answer);

// A table with its blocks, and the loop. One thread at a time may be in run().
class Server {
public:
    // `slots` requests at a time, each with `block_bytes` for its data (a power of two, 64..65536,
    // or 0). Needs the handles `budget` and `process`. not_granted, no_budget, bad_argument.
    static Result<Server> create(unsigned slots, size_t block_bytes);
    Server(Server&& other);
    Server& operator=(Server&&) = delete;
    ~Server();

    // A handle to `object`, with `rights`. The record is paid by this program, or by the budget of
    // the process that sent the taken request `payer`.
    Result<Served> make_object(ServedByThis& object, abi::Rights rights = abi::all_rights,
                               uint64_t payer = 0) const;

    // The client that pays for an object of this server: Request::client() of what comes through
    // it.
    Result<uint64_t> client_of(ServedReference object) const { return table_.get_client(object); }

    // Serves until stop() or an error of the table.
    Result<void> run() { return run(nullptr); }
    Result<void> run(BesideRequests& beside) { return run(&beside); }

    // From inside a handler: run() returns after this request's answer.
    void stop() { stopping_ = true; }

    // Answers a request for which a handler said later(). The client may have left: that is no
    // error.
    Result<void> reply(uint64_t request, const Answer& answer) const;

    // The same. False: the client has left, or could not take the handles, and got nothing.
    Result<bool> deliver(uint64_t request, const Answer& answer) const;

    TableReference table() const { return table_; }

private:
    friend class Executor;
    Server(Table table, uint64_t blocks, size_t block_bytes, uint64_t mapped)
        : table_(std::move(table)), blocks_(blocks), block_bytes_(block_bytes), mapped_(mapped) {}

    Result<void> run(BesideRequests* beside);
    std::span<std::byte> block_of(uint64_t request) const;
    void serve(TakenRequest& taken, Answer& answer) const;
    static Result<bool> take_other(const system::Delivery& delivery, BesideRequests* beside);
    void recover(uint64_t request, const Answer& answer, abi::Status outcome) const;

    Table table_;
    uint64_t blocks_;  // address of block 0
    size_t block_bytes_;
    uint64_t mapped_;  // bytes
    bool stopping_ = false;
};

}  // namespace annulus
