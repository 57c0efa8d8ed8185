// SPDX-License-Identifier: MIT
// Serves the network's objects through a table.
#include "services/net/service.h"

#include <algorithm>
#include <new>

#include "runtime/clock.h"
#include "runtime/program.h"

namespace annulus::net {
namespace {

constexpr Duration attach_time = seconds(5);

}  // namespace

// A node as the table knows it: lives until the kernel says that no handle is left.
class Service::ServedNode final : public ServedByThis {
public:
    ServedNode(Service& service, Node& node) : service_(service), node_(&node) {}

    Answer handle(Request& request) override {
        if (node_ == nullptr) return Error::closed;
        return service_.handle(*node_, request);
    }
    void closed() override {
        if (node_ != nullptr) node_->closed();
        delete this;
    }

    // The node ended without having been handed out.
    void forget() { node_ = nullptr; }

private:
    Service& service_;
    Node* node_;
};

Result<Service::Prepared> Service::make_handle(Node& node, uint64_t payer) {
    auto* made = new (std::nothrow) ServedNode(*this, node);
    if (made == nullptr) return Error::no_memory;
    auto handle = server_.make_object(*made, node.rights(), payer);
    if (handle.ok()) return Prepared{std::move(handle).value(), made};
    delete made;
    return handle.status();
}

Result<Served> Service::make_root() { return TRY(make_handle(network_.root(), 0)).handle; }

Result<uint64_t> Service::prepare(uint64_t request, Node& node) {
    auto prepared = TRY(make_handle(node, request));
    auto client = server_.client_of(prepared.handle);
    if (!client.ok()) {
        prepared.record->forget();
        return client.status();
    }
    prepared_[abi::request_slot(request)] = std::move(prepared);
    return *client;
}

// What was prepared for the answer to `request`; a handle that the outcome does not give is closed
// with the result, and its notice ends the record alone.
Service::Prepared Service::take_prepared(uint64_t request, const Outcome& outcome) {
    Prepared prepared = std::exchange(prepared_[abi::request_slot(request)], {});
    const bool gives = outcome.status.ok() && outcome.opened != nullptr;
    if (!gives && prepared.record != nullptr) prepared.record->forget();
    return prepared;
}

Answer Service::give(const Outcome& outcome, Prepared& prepared) {
    if (!outcome.status.ok()) return outcome.status;
    Answer answer = Answer::with_words(outcome.words[0], outcome.words[1]);
    answer.add_bytes(outcome.bytes);
    if (outcome.opened != nullptr) answer.give(0, std::move(prepared.handle));
    return answer;
}

bool Service::answer(uint64_t request, const Outcome& outcome) {
    Prepared prepared = take_prepared(request, outcome);
    const Answer answer = give(outcome, prepared);
    const auto delivered = server_.deliver(request, answer);
    const bool arrived = delivered.ok() && *delivered;
    // A handle that was not delivered is closed by now.
    if (!arrived && outcome.opened != nullptr) prepared.record->forget();
    return arrived;
}

// A channel's end as word `word_` of a request.
class Service::Brought final : public BroughtEnd {
public:
    Brought(Streams& streams, Request& request, unsigned word)
        : streams_(streams), request_(request), word_(word) {}

    Result<std::unique_ptr<ClientStream>> take() override {
        auto end = request_.take_handle<Channel>(word_);
        if (end.empty()) return Status(Error::bad_argument, static_cast<uint16_t>(word_));
        auto stream = streams_.attach(end);
        request_.put_back(word_, std::move(end));  // if it was refused
        return stream;
    }

private:
    Streams& streams_;
    Request& request_;
    unsigned word_;
};

Answer Service::handle(Node& node, Request& request) {
    if (request.is(abi::Verb::get, abi::get_protocol)) {
        return Answer::with_words(node.protocol(), abi::net_version, request.block_bytes());
    }
    Call call;
    call.id = request.id();
    call.verb = request.verb();
    call.selector = request.selector();
    call.words = {request.word(0), request.word(1)};
    call.bytes = request.bytes();
    call.space = request.space();
    call.deadline = request.deadline().at;
    const unsigned end_word = call.verb == abi::Verb::open ? 1 : 0;
    const bool may_bring = call.verb == abi::Verb::open || call.verb == abi::Verb::accept ||
                           call.verb == abi::Verb::share;
    Brought brought(streams_, request, end_word);
    if (may_bring && request.word(end_word) != 0) call.brought = &brought;
    const Outcome outcome = node.handle(call);
    if (outcome.is_later) return Answer::later();
    Prepared prepared = take_prepared(request.id(), outcome);
    return give(outcome, prepared);
}

Result<void> Service::start(Driver driver, SemaphoreReference link_bell,
                            const std::optional<FixedAddress>& fixed) {
    driver_.emplace(std::move(driver));
    link_bell_ = link_bell;
    const PacketInterface interface = driver_->object();
    link_ = TRY(DriverLink::attach(interface, Deadline::after(attach_time), events_, frames_key));
    TRY(interface.watch_link(link_bell_));
    network_.interface().start(*link_, link_->hardware_address(), link_->mtu(), link_->link_up(),
                               fixed);
    return {};
}

void Service::event(uint64_t key, bool /*closed*/) {
    if (streams_.event(key)) return;
    if (key == frames_key) rang_ = true;
    if (key == link_key) link_changed_ = true;
    if (key == alarm_key) alarm_at_ = abi::deadline_never;
}

// The next turn is due at `next`. Most waits are short and end long before it: arming one timer now
// and then costs less than a deadline on each of them. One that is too early stays, and is heard.
Deadline Service::wait_until(uint64_t next) {
    if (next >= alarm_at_) return Deadline::never();
    if (next <= now()) return Deadline::poll();
    if (!alarm_.set_arm(next, 0).ok()) return {next};
    alarm_at_ = next;
    return Deadline::never();
}

Deadline Service::turn() {
    if (driver_.has_value() && link_ == nullptr && now() >= reconnect_at_) reconnect();
    if (link_ == nullptr) {
        network_.turn(now());
        const uint64_t next = network_.next_turn();
        return wait_until(driver_.has_value() ? std::min(next, reconnect_at_) : next);
    }
    Interface& interface = network_.interface();
    if (std::exchange(link_changed_, false)) {
        const auto info = driver_->object().info();
        interface.set_link_up(info.ok() && info->link != 0);
    }
    const bool more = link_->receive(interface);
    network_.turn(now());
    link_->publish(interface);
    if (std::exchange(rang_, false)) look_after_link();
    if (link_ == nullptr || more) return Deadline::poll();
    switch (link_->prepare_wait(interface)) {
        case channel::Wait::sleep: return wait_until(network_.next_turn());
        case channel::Wait::faulted: look_after_link(); break;
        case channel::Wait::ready: break;
    }
    return Deadline::poll();
}

// A driver that is gone, or has broken its rules: the connections stay, and wait for the next.
void Service::look_after_link() {
    const auto state = link_->check();
    if (state.ok()) return;
    log("the driver's packet queues have ended: {}", name_of(state));
    if (!driver_->can_renew()) exit_program(state.status().bits);
    network_.interface().unlink();
    link_.reset();
    reconnect_pause_ = GrowingPause();
    reconnect_at_ = later(now(), reconnect_pause_.next()).at;
}

void Service::reconnect() {
    if (link_up_again().ok()) {
        log("the network interface is back");
        return;
    }
    reconnect_at_ = later(now(), reconnect_pause_.next()).at;
}

// The driver may have been restarted, or may only have broken off.
Result<void> Service::link_up_again() {
    TRY(driver_->renew());
    const PacketInterface interface = driver_->object();
    auto link = TRY(DriverLink::attach(interface, Deadline::poll(), events_, frames_key));
    TRY(interface.watch_link(link_bell_));
    link_ = std::move(link);
    network_.interface().relink(*link_, link_->link_up());
    return {};
}

}  // namespace annulus::net
