// SPDX-License-Identifier: MIT
// Channels of clients.
#include "services/net/streams.h"

#include <algorithm>
#include <new>

namespace annulus::net {

class Streams::Stream final : public ClientStream {
public:
    Stream(Streams& all, Stream*& place, ChannelEnd end)
        : ClientStream(end.memory(), end.geometry(), end.side()),
          all_(all),
          place_(place),
          end_(std::move(end)) {
        place_ = this;
    }
    ~Stream() override {
        // After it no event has the key of this place any more.
        static_cast<void>(all_.set_.remove_member(end_.end()));
        place_ = nullptr;
    }

    Client client() override {
        const auto state = end_.state();
        if (state.ok()) return Client::there;
        return state.error() == Error::closed ? Client::gone : Client::broken;
    }
    void shut_down(uint32_t reason) override { end_.shut_down(reason); }
    void rang() const { client_rang(); }

private:
    void ring() override { end_.bell().ring(); }

    Streams& all_;
    Stream*& place_;
    ChannelEnd end_;
};

Result<std::unique_ptr<ClientStream>> Streams::attach(Channel& end) {
    const auto geometry = TRY(ChannelEnd::geometry_of(end, channel::Structure::bytes));
    if (geometry.size_log2 > abi::net_stream_log2_max) return Error::limit;
    auto* const free = std::find(places_.begin(), places_.end(), nullptr);
    if (free == places_.end()) return Error::limit;
    auto attached = TRY(ChannelEnd::attach(end, channel::Structure::bytes));
    const ChannelReference reference = attached.end();
    std::unique_ptr<ClientStream> stream(new (std::nothrow)
                                             Stream(*this, *free, std::move(attached)));
    if (stream == nullptr) return Error::no_memory;
    const auto key = first_key_ + static_cast<uint64_t>(free - places_.begin());
    TRY(set_.create_member(reference, key, 0));
    return stream;
}

bool Streams::event(uint64_t key) {
    if (key < first_key_ || key - first_key_ >= most) return false;
    const Stream* const stream = places_[key - first_key_];
    if (stream != nullptr) stream->rang();
    return true;
}

}  // namespace annulus::net
