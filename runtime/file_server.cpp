// SPDX-License-Identifier: MIT
// Requests of the file protocol.

#include "runtime/file_server.h"

#include "runtime/path.h"

#include <bit>

namespace annulus {

namespace {

using abi::Verb;

// Words from `used` on have no meaning yet.
Status check_unused(const Request& request, unsigned used) {
    for (unsigned i = used; i < abi::message_words; ++i) {
        if (request.word(i) != 0) return Status(Error::bad_argument, static_cast<uint16_t>(i));
    }
    return {};
}

std::string_view text_of(std::span<const std::byte> bytes) {
    // Safety: any bytes may be looked at as characters.
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// What a client sent, as that is what the bytes of a channel are, too.
UntrustedBytes untrusted(std::span<const std::byte> bytes) {
    // Safety: the block can be written to; nobody does.
    return UntrustedBytes::at_address(const_cast<std::byte*>(bytes.data()), bytes.size());
}

constexpr Status no_memory() {
    return Status(Error::no_budget, static_cast<uint16_t>(abi::Resource::pages));
}

constexpr Status bad_path() { return Status(Error::bad_argument, abi::operand_bytes); }

constexpr Verb verb_of(abi::FileRequest operation) {
    switch (operation) {
        case abi::FileRequest::read: return Verb::read;
        case abi::FileRequest::write: return Verb::write;
        case abi::FileRequest::sync: break;
    }
    return Verb::sync;
}

constexpr bool has(uint64_t flags, uint64_t flag) { return (flags & flag) != 0; }

Status check_open_flags(uint64_t flags, abi::Rights rights) {
    if (has(flags, ~abi::open_flags_all)) return Error::not_supported;
    const bool fit = (has(flags, abi::open_create) || !has(flags, abi::open_exclusive)) &&
                     (has(flags, abi::open_write) || !has(flags, abi::open_truncate)) &&
                     !(has(flags, abi::open_truncate) && has(flags, abi::open_directory));
    if (!fit) return Status(Error::bad_argument, 0);
    abi::Rights needed = 0;
    if (has(flags, abi::open_read)) needed |= abi::right_of(Verb::read);
    if (has(flags, abi::open_write)) needed |= abi::right_of(Verb::write);
    if (has(flags, abi::open_create)) needed |= abi::right_of(Verb::create);
    const abi::Rights missing = needed & ~rights;
    if (missing == 0) return {};
    return Status(Error::no_right, static_cast<uint16_t>(std::countr_zero(missing)));
}

}  // namespace

Answer ServedFile::handle(Request& request) {
    switch (request.verb()) {
        case Verb::open: return answer_open(request);
        case Verb::read: return answer_read(request);
        case Verb::write: return answer_write(request);
        case Verb::get: return answer_get(request);
        case Verb::set: return answer_set(request);
        case Verb::list: return answer_list(request);
        case Verb::map: return answer_map(request);
        case Verb::create:
        case Verb::remove: return answer_path(request);
        case Verb::rename: return answer_rename(request);
        case Verb::sync:
            if (!request.is(Verb::sync, abi::stream_sync)) return Error::bad_operation;
            return sync();
        default: return Error::bad_operation;
    }
}

Answer ServedFile::answer_get(const Request& request) {
    if (const Status unused = check_unused(request, 0); !unused.ok()) return unused;
    if (request.is(Verb::get, abi::get_protocol)) {
        return Answer::with_words(abi::Protocol::file, abi::file_version, request.block_bytes());
    }
    if (!request.is(Verb::get, abi::file_get_state)) return Error::bad_operation;
    const auto found = state();
    if (!found.ok()) return found.status();
    return Answer::with_words(found->kind, found->size, position_, found->id);
}

Answer ServedFile::answer_open(Request& request) {
    if (!request.is(Verb::open, abi::directory_open)) return Error::bad_operation;
    // An end that is not used goes back.
    const auto end = request.peek_handle<ChannelReference>(1);
    if (!end.empty() && channels_ == nullptr) return Error::not_supported;
    if (const Status unused = check_unused(request, end.empty() ? 1 : 2); !unused.ok()) {
        return unused;
    }
    const uint64_t flags = request.word(0);
    const std::string_view path = text_of(request.bytes());
    if (const Status fit = check_open_flags(flags, request.rights()); !fit.ok()) return fit;
    if (!is_path(path)) return bad_path();
    if (!end.empty()) {
        // Before anything is made, or cut.
        const auto fits = channels_->check(end, request.client());
        if (!fits.ok()) return fits.status();
    }
    auto made = make_unopened();
    if (made == nullptr) return no_memory();
    ServedFile& target = *made;
    const abi::Rights rights = request.rights() & abi::open_rights(flags);
    auto handle = serve_file(server_, std::move(made), rights, request.id());
    if (!handle.ok()) return handle.status();
    // From here on the object ends by the close notice that closing its handle causes.
    const auto client = server_.client_of(*handle);
    if (!client.ok()) return client.status();
    if (const auto opened = open(target, path, flags, *client); !opened.ok()) {
        return opened.status();
    }
    if (!end.empty()) {
        const auto attached = open_through(request, target, rights, *client);
        if (!attached.ok()) return attached.status();
    }
    Answer answer = Answer::with_words(0, path.size());
    answer.give(0, std::move(*handle));
    return answer;
}

// Attaches the channel whose end came with the request.
Result<void> ServedFile::open_through(Request& request, ServedFile& target, abi::Rights rights,
                                      Client client) {
    if (TRY(target.state()).kind != abi::EntryKind::file) return Error::wrong_type;
    auto end = request.take_handle<Channel>(1);
    auto attached = channels_->attach(end, target, rights, client);
    if (!attached.ok()) {
        request.put_back(1, std::move(end));
        return attached.status();
    }
    target.channel_ = std::move(*attached);
    return {};
}

channel::QueuedAnswer ServedFile::answer_queued(const channel::QueuedRequest& request,
                                                UntrustedBytes buffer, abi::Rights rights,
                                                Client client) {
    const auto done = do_queued(request, buffer.first(request.length), rights, client);
    return {.slot = request.slot,
            .count = done.ok() ? static_cast<uint32_t>(*done) : 0,
            .status = done.status().bits};
}

Result<size_t> ServedFile::do_queued(const channel::QueuedRequest& request, UntrustedBytes buffer,
                                     abi::Rights rights, Client client) {
    const auto operation = static_cast<abi::FileRequest>(request.operation);
    if (operation > abi::FileRequest::sync) return Error::bad_operation;
    if (request.flags != 0) return Error::not_supported;
    if (request.word != 0) return Error::bad_argument;
    const Verb verb = verb_of(operation);
    if ((rights & abi::right_of(verb)) == 0) {
        return Status(Error::no_right, static_cast<uint16_t>(verb));
    }
    if (request.place > abi::file_size_max) return Error::out_of_range;
    if (operation == abi::FileRequest::read) return read(request.place, buffer);
    if (operation == abi::FileRequest::write) return write(request.place, buffer, client);
    if (request.place != 0 || request.length != 0) return Error::bad_argument;
    TRY(sync());
    return size_t{0};
}

Answer ServedFile::answer_read(Request& request) {
    const bool at_position = request.is(Verb::read, abi::stream_read);
    if (!at_position && !request.is(Verb::read, abi::file_read_at)) return Error::bad_operation;
    const Status unused = check_unused(request, at_position ? 0 : 1);
    if (!unused.ok()) return unused;
    const uint64_t offset = at_position ? position_ : request.word(0);
    if (offset > abi::file_size_max) return Error::out_of_range;
    const auto count = read(offset, UntrustedBytes::over(request.space()));
    if (!count.ok()) return count.status();
    if (at_position) position_ += *count;
    return Answer::with_bytes(*count);
}

Answer ServedFile::answer_write(const Request& request) {
    const bool at_position = request.is(Verb::write, abi::stream_write);
    if (!at_position && !request.is(Verb::write, abi::file_write_at)) return Error::bad_operation;
    const Status unused = check_unused(request, at_position ? 0 : 1);
    if (!unused.ok()) return unused;
    const uint64_t offset = at_position ? position_ : request.word(0);
    if (offset > abi::file_size_max) return Error::out_of_range;
    const auto count = write(offset, untrusted(request.bytes()), request.client());
    if (!count.ok()) return count.status();
    if (at_position) position_ += *count;
    return Answer::with_words(*count);
}

Answer ServedFile::answer_set(const Request& request) {
    if (const Status unused = check_unused(request, 1); !unused.ok()) return unused;
    const uint64_t value = request.word(0);
    if (value > abi::file_size_max) return Error::out_of_range;
    if (request.is(Verb::set, abi::file_set_size)) return resize(value, request.client());
    if (!request.is(Verb::set, abi::file_set_position)) return Error::bad_operation;
    position_ = value;
    return {};
}

Answer ServedFile::answer_map(const Request& request) {
    if (!request.is(Verb::map, abi::file_map)) return Error::bad_operation;
    if (const Status unused = check_unused(request, 2); !unused.ok()) return unused;
    const uint64_t offset = request.word(0);
    const uint64_t length = request.word(1);
    if (offset > abi::file_size_max || length > abi::file_size_max) return Error::out_of_range;
    if (length == 0) return Status(Error::bad_argument, 1);
    auto mapped = map(offset, length);
    if (!mapped.ok()) return mapped.status();
    Answer answer = Answer::with_words(0, mapped->offset);
    answer.give(0, std::move(mapped->memory));
    return answer;
}

Answer ServedFile::answer_list(const Request& request) {
    if (!request.is(Verb::list, abi::directory_list)) return Error::bad_operation;
    if (const Status unused = check_unused(request, 1); !unused.ok()) return unused;
    // With less room a name could be too long for any request.
    if (request.space().size() < abi::directory_record_max) return Error::no_room;
    RecordWriter records(request.space());
    const auto next = list(request.word(0), records);
    if (!next.ok()) return next.status();
    return Answer::with_words(*next).add_bytes(records.used());
}

Answer ServedFile::answer_path(const Request& request) {
    const bool creates = request.is(Verb::create, abi::file_create_directory);
    if (!creates && !request.is(Verb::remove, abi::file_remove)) return Error::bad_operation;
    if (const Status unused = check_unused(request, 0); !unused.ok()) return unused;
    const std::string_view path = text_of(request.bytes());
    if (path.empty() || !is_path(path)) return bad_path();
    return creates ? create_directory(path, request.client()) : remove(path);
}

Answer ServedFile::answer_rename(const Request& request) {
    if (!request.is(Verb::rename, abi::file_rename)) return Error::bad_operation;
    if (const Status unused = check_unused(request, 2); !unused.ok()) return unused;
    if ((request.word(1) & ~abi::rename_replace) != 0) return Error::not_supported;
    const std::string_view both = text_of(request.bytes());
    const uint64_t cut = request.word(0);
    if (cut > both.size()) return Status(Error::bad_argument, 0);
    const std::string_view from = both.substr(0, cut);
    const std::string_view to = both.substr(cut);
    if (from.empty() || to.empty() || !is_path(from) || !is_path(to)) return bad_path();
    return rename(from, to, (request.word(1) & abi::rename_replace) != 0);
}

Result<size_t> ServedFile::write(uint64_t, UntrustedBytes, Client) { return Error::not_supported; }
Result<void> ServedFile::resize(uint64_t, Client) { return Error::not_supported; }
Result<FileMemory> ServedFile::map(uint64_t, uint64_t) { return Error::not_supported; }
Result<void> ServedFile::create_directory(std::string_view, Client) { return Error::not_supported; }
Result<void> ServedFile::remove(std::string_view) { return Error::not_supported; }
Result<void> ServedFile::rename(std::string_view, std::string_view, bool) {
    return Error::not_supported;
}

Result<Served> serve_file(const Server& server, std::unique_ptr<ServedFile> object,
                          abi::Rights rights, uint64_t payer) {
    if (object == nullptr) return no_memory();
    Served handle = TRY(server.make_object(*object, rights, payer));
    // From here on the close notice deletes it.
    static_cast<void>(object.release());
    return handle;
}

}  // namespace annulus
