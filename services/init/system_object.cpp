// SPDX-License-Identifier: MIT
// The object `system`.
#include "services/init/system_object.h"

#include "abi/operations.h"
#include "abi/system.h"
#include "runtime/directory_records.h"
#include "services/init/program_board.h"

#include <string.h>

#include <algorithm>
#include <memory>
#include <new>

namespace annulus::init {
namespace {

using abi::Verb;

std::string_view text_of(std::span<const std::byte> bytes) {
    // Safety: any bytes may be looked at as characters.
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// The longest grant has two names of manifest_name_max bytes.
constexpr size_t grant_record_max = sizeof(abi::GrantRecord) + 2 * manifest_name_max + 7;

// Appends a grant's record; false: there is no room.
bool add_grant(std::span<std::byte> space, size_t& used, const Give& give) {
    const size_t names = give.name.size() + give.source_name.size();
    const size_t bytes = (sizeof(abi::GrantRecord) + names + 7) / 8 * 8;
    if (bytes > space.size() - used) return false;
    const abi::GrantRecord record = {give.rights,
                                     give.place.line,
                                     static_cast<uint16_t>(bytes),
                                     static_cast<uint16_t>(give.name.size()),
                                     static_cast<uint16_t>(give.source_name.size()),
                                     0};
    std::byte* place = space.data() + used;
    memset(place, 0, bytes);
    memcpy(place, &record, sizeof(record));
    memcpy(place + sizeof(record), give.name.data(), give.name.size());
    memcpy(place + sizeof(record) + give.name.size(), give.source_name.data(),
           give.source_name.size());
    used += bytes;
    return true;
}

class SystemObject final : public ServedByThis {
public:
    explicit SystemObject(Shared& shared) : shared_(shared) {}

    Answer handle(Request& request) override;
    void closed() override { delete this; }

private:
    Result<uint16_t> find(const Request& request) const;
    Answer list_programs(const Request& request) const;
    Answer list_grants(const Request& request) const;
    Answer report(const Request& request) const;
    Answer report_machine(const Request& request) const;
    Answer kill(const Request& request) const;
    Answer shut_down(const Request& request) const;

    Shared& shared_;
};

Answer SystemObject::handle(Request& request) {
    if (request.is(Verb::get, abi::get_protocol)) {
        return Answer::with_words(abi::Protocol::system, abi::system_version,
                                  request.block_bytes());
    }
    if (request.is(Verb::list, abi::directory_list)) return list_programs(request);
    if (request.is(Verb::list, abi::system_list_grants)) return list_grants(request);
    if (request.is(Verb::get, abi::system_get_program)) return report(request);
    if (request.is(Verb::get, abi::system_get_machine)) return report_machine(request);
    if (request.is(Verb::remove, abi::system_remove_program)) return kill(request);
    if (request.is(Verb::shutdown, abi::system_shutdown)) return shut_down(request);
    return Error::bad_operation;
}

Result<uint16_t> SystemObject::find(const Request& request) const {
    const std::string_view name = text_of(request.bytes());
    for (size_t i = 0; i < shared_.manifest.program_count; i++) {
        if (shared_.manifest.programs[i].name == name) return static_cast<uint16_t>(i);
    }
    return Error::not_found;
}

Answer SystemObject::list_programs(const Request& request) const {
    if (request.space().size() < abi::directory_record_max) return Error::no_room;
    RecordWriter records(request.space());
    uint64_t at = request.word(0);
    for (; at < shared_.manifest.program_count; at++) {
        if (!records.add({shared_.manifest.programs[at].name, abi::EntryKind::object, 0})) break;
    }
    const uint64_t next = at < shared_.manifest.program_count ? at : 0;
    return Answer::with_words(next).add_bytes(records.used());
}

Answer SystemObject::list_grants(const Request& request) const {
    const auto program = find(request);
    if (!program.ok()) return program.status();
    if (request.space().size() < grant_record_max) return Error::no_room;
    const auto gives = shared_.manifest.gives_of(shared_.manifest.programs[*program]);
    size_t used = 0;
    uint64_t at = request.word(0);
    for (; at < gives.size(); at++) {
        if (!add_grant(request.space(), used, gives[at])) break;
    }
    return Answer::with_words(at < gives.size() ? at : 0).add_bytes(used);
}

Answer SystemObject::report(const Request& request) const {
    const auto program = find(request);
    if (!program.ok()) return program.status();
    if (request.space().size() < sizeof(abi::ProgramReport)) return Error::no_room;
    const abi::ProgramReport report = shared_.board.report(*program);
    memcpy(request.space().data(), &report, sizeof(report));
    return Answer::with_bytes(sizeof(report));
}

Answer SystemObject::report_machine(const Request& request) const {
    if (request.space().size() < sizeof(abi::MachineLedger)) return Error::no_room;
    const auto ledger = shared_.root.get_machine();
    if (!ledger.ok()) return ledger.status();
    memcpy(request.space().data(), &*ledger, sizeof(*ledger));
    return Answer::with_bytes(sizeof(*ledger));
}

Answer SystemObject::kill(const Request& request) const {
    const auto program = find(request);
    if (!program.ok()) return program.status();
    if (!shared_.board.request_kill(*program)) return Error::wrong_state;
    return shared_.doorbell.ring();
}

Answer SystemObject::shut_down(const Request& request) const {
    const uint64_t kind = request.word(0);
    if (kind != abi::power_off && kind != abi::power_reboot) return Status(Error::bad_argument, 0);
    shared_.board.request_power(kind);
    return shared_.doorbell.ring();
}

}  // namespace

Result<Served> make_system(const Server& server, Shared& shared) {
    std::unique_ptr<SystemObject> object(new (std::nothrow) SystemObject(shared));
    if (object == nullptr) return Error::no_memory;
    constexpr abi::Rights rights = abi::right_of(Verb::list) | abi::right_of(Verb::get) |
                                   abi::right_of(Verb::remove) | abi::right_of(Verb::shutdown);
    Served handle = TRY(server.make_object(*object, rights));
    static_cast<void>(object.release());
    return handle;
}

}  // namespace annulus::init
