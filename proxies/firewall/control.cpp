// SPDX-License-Identifier: MIT
// What changes the rules of a running firewall.
#include "proxies/firewall/control.h"

#include <algorithm>

#include "abi/errors.h"
#include "abi/file.h"
#include "base/format.h"
#include "runtime/log.h"

namespace annulus::firewall {
namespace {

constexpr Duration reload_patience = seconds(2);

}  // namespace

Answer Control::handle(Request& request) {
    using abi::Verb;
    if (request.is(Verb::read, abi::stream_read)) {
        return request.word(0) == 0 ? read(request, 0) : Status(Error::bad_argument, 0);
    }
    if (request.is(Verb::read, abi::file_read_at)) return read(request, request.word(0));
    if (request.is(Verb::write, abi::stream_write)) return write(request);
    if (request.is(Verb::open, abi::directory_open)) return open(request);
    if (request.is(Verb::get, abi::get_protocol)) {
        return Answer::with_words(abi::Protocol::stream, abi::stream_version,
                                  request.block_bytes());
    }
    return Error::bad_operation;
}

Answer Control::open(const Request& request) {
    if (!request.bytes().empty()) return Error::not_found;
    auto handle = server_.make_object(*this, control_rights, request.id());
    if (!handle.ok()) return handle.status();
    return Answer::with_handle(std::move(*handle));
}

Answer Control::read(const Request& request, uint64_t offset) const {
    const Gateway::Decisions decisions = gateway_.decisions();
    const auto count = [&](Verdict verdict) {
        return decisions.by_verdict[static_cast<size_t>(verdict)];
    };
    uint64_t odd = 0;
    for (size_t i = static_cast<size_t>(Verdict::short_frame); i < verdict_count; ++i) {
        odd += decisions.by_verdict[i];
    }
    char buffer[256];
    const std::string_view text = format(
        buffer, "rules {}\nreloads {}\nallowed {}\nanswers {}\nnot allowed {}\nnot understood {}\n",
        decisions.rules, reloads_, count(Verdict::allowed), count(Verdict::answer),
        count(Verdict::not_allowed), odd);
    const auto bytes = std::as_bytes(std::span(text));
    const auto rest = bytes.subspan(std::min<uint64_t>(offset, bytes.size()));
    const size_t size = std::min(rest.size(), request.space().size());
    std::copy_n(rest.begin(), size, request.space().begin());
    return Answer::with_bytes(size);
}

Answer Control::write(const Request& request) {
    if (request.word(0) != 0) return Status(Error::bad_argument, 0);
    // Safety: any bytes may be looked at as characters.
    std::string_view word(reinterpret_cast<const char*>(request.bytes().data()),
                          request.bytes().size());
    if (word.ends_with('\n')) word.remove_suffix(1);
    if (word != "reload") return Error::not_supported;
    const auto reloaded = reload();
    if (reloaded.ok()) return Answer::with_words(request.bytes().size());
    log("the rules stay as they were: {}", abi::name_of(reloaded.error()));
    return reloaded.status();
}

Result<void> Control::reload() {
    // While the file service is asked nobody else's request is answered: frames pass, but no client
    // could attach or leave.
    auto rules = TRY(files_.read(Deadline::after(reload_patience)));
    const size_t count = rules->all().size();
    gateway_.replace_rules(std::move(rules));
    reloads_++;
    log("{} rules are in force", count);
    return {};
}

}  // namespace annulus::firewall
