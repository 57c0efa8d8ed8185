// SPDX-License-Identifier: MIT
// Channels of file servers: attaching, turns, ends.
#include "runtime/file_channels.h"

#include "runtime/file_server.h"

#include <algorithm>
#include <new>

namespace annulus {

namespace {

// What one channel has done before others have their turn: so many requests, or the one with which
// so many bytes are reached.
constexpr unsigned requests_in_turn = 32;
constexpr uint64_t bytes_in_turn = 128 * 1024;

}  // namespace

Result<std::unique_ptr<FileChannels>> FileChannels::create(const Server& server,
                                                           BudgetReference budget) {
    // Places of removed members are free only after a moment: clients may come and go faster.
    auto set = TRY(SemaphoreSet::create(budget, 2 * most));
    TRY(server.table().set_events(set.handle()));
    const abi::BudgetLedger ledger = TRY(budget.get_ledger());
    constexpr auto reserved = static_cast<unsigned>(abi::Resource::reserved_pages);
    const uint64_t pages = ledger.limit[reserved] - ledger.used[reserved] - ledger.lent[reserved];
    std::unique_ptr<FileChannels> made(new (std::nothrow) FileChannels(std::move(set), pages));
    if (made == nullptr) return Error::no_memory;
    return made;
}

Result<void> FileChannels::check(ChannelReference end, uint64_t client) const {
    const auto geometry = TRY(ChannelEnd::geometry_of(end, channel::Structure::requests));
    // With the one that asks.
    unsigned all = 1;
    unsigned of_client = 1;
    uint64_t pages = geometry.length() / abi::page_size;
    uint64_t pages_of_client = pages;
    for (const Attached* attached : places_) {
        if (attached == nullptr) continue;
        const uint64_t more = attached->channel_.end().geometry().length() / abi::page_size;
        ++all;
        pages += more;
        if (attached->client_ != client) continue;
        ++of_client;
        pages_of_client += more;
    }
    const bool fits = all <= most && of_client <= most / 2 && pages <= pages_max_ &&
                      pages_of_client <= pages_max_ / 2;
    return fits ? Result<void>() : Error::limit;
}

Result<std::unique_ptr<FileChannels::Attached>> FileChannels::attach(Channel& end, ServedFile& file,
                                                                     abi::Rights rights,
                                                                     uint64_t client) {
    TRY(check(end, client));
    const auto place =
        static_cast<unsigned>(std::find(places_.begin(), places_.end(), nullptr) - places_.begin());
    AnswerChannel channel = TRY(AnswerChannel::attach(end));
    const ChannelReference reference = channel.end().end();
    std::unique_ptr<Attached> attached(
        new (std::nothrow) Attached(*this, place, std::move(channel), file, rights, client));
    if (attached == nullptr) return Error::no_memory;
    TRY(set_.add(reference, place));
    // What was asked until now has rung for nobody: no ring was asked for.
    put_in_line(*attached);
    return attached;
}

void FileChannels::put_in_line(Attached& attached) {
    if (in_line_[attached.place_]) return;
    in_line_[attached.place_] = true;
    line_[(first_ + waiting_++) % most] = static_cast<uint8_t>(attached.place_);
}

void FileChannels::serve(Attached& attached) {
    const auto more = attached.work();
    if (!more.ok()) {
        attached.file_.channel_.reset();
    } else if (*more) {
        put_in_line(attached);
    }
}

Deadline FileChannels::turn() {
    if (waiting_ == 0) return Deadline::never();
    const unsigned place = line_[first_];
    first_ = (first_ + 1) % most;
    --waiting_;
    in_line_[place] = false;
    if (places_[place] != nullptr) serve(*places_[place]);
    return waiting_ == 0 ? Deadline::never() : Deadline::poll();
}

void FileChannels::event(uint64_t key, bool) {
    if (key < most && places_[key] != nullptr) serve(*places_[key]);
}

FileChannels::Attached::Attached(FileChannels& all, unsigned place, AnswerChannel channel,
                                 ServedFile& file, abi::Rights rights, uint64_t client)
    : all_(all),
      place_(place),
      channel_(std::move(channel)),
      file_(file),
      rights_(rights),
      client_(client) {
    all_.places_[place] = this;
}

FileChannels::Attached::~Attached() {
    // After it no event has the key of this place any more.
    static_cast<void>(all_.set_.remove(channel_.end().end()));
    all_.places_[place_] = nullptr;
}

Result<bool> FileChannels::Attached::work() {
    auto& answerer = channel_.answerer();
    uint64_t bytes = 0;
    for (unsigned done = 0; done < requests_in_turn && bytes < bytes_in_turn;) {
        if (const auto request = answerer.next()) {
            answerer.answer(
                file_.answer_queued(*request, answerer.bytes_of(request->slot), rights_, client_));
            ++done;
            bytes += request->length;
            continue;
        }
        switch (answerer.prepare_wait()) {
            case channel::Wait::ready: break;
            case channel::Wait::faulted: return channel_.check().status();
            case channel::Wait::sleep:
                // One ring may have told of requests and of the end.
                TRY(channel_.end().state());
                return false;
        }
    }
    answerer.publish();
    return true;
}

}  // namespace annulus
