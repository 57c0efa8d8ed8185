// SPDX-License-Identifier: MIT
// What sockets do alike.
#include "services/net/stack/socket.h"

namespace annulus::net {

Result<std::unique_ptr<ClientStream>> take_channel(SocketOwner& owner, Socket& socket,
                                                   BroughtEnd& brought) {
    Place place = TRY(owner.place_for_stream(socket));
    auto stream = TRY(brought.take());
    stream->set_place(std::move(place));
    return stream;
}

}  // namespace annulus::net
