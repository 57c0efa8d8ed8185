// SPDX-License-Identifier: MIT
// The objects that init serves to programs.
#include "services/init/served_objects.h"

#include "abi/directory.h"
#include "abi/stream.h"

#include <memory>
#include <new>

namespace annulus::init {
namespace {

std::string_view text_of(std::span<const std::byte> bytes) {
    // Safety: any bytes may be looked at as characters.
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

class ExportDirectory final : public ServedByThis {
public:
    ExportDirectory(Shared& shared, uint16_t program, uint32_t run)
        : shared_(shared), program_(program), run_(run) {}

    Answer handle(Request& request) override {
        if (!request.is(abi::Verb::share, abi::directory_share)) return Error::bad_operation;
        Object object = request.take_handle<Object>(0);
        if (object.empty()) return Status(Error::bad_argument, 0);
        return publish(text_of(request.bytes()), std::move(object));
    }
    void closed() override { delete this; }

private:
    Result<void> publish(std::string_view name, Object object) {
        const auto info = TRY(object.get_info());
        const Export entry = {object.value(), static_cast<abi::ObjectType>(info.type)};
        {
            Lock lock(shared_.mutex);
            const Error error = shared_.exports.publish(program_, run_, name, entry);
            if (error != Error::ok) return error;
            static_cast<void>(object.release());
        }
        return shared_.doorbell.ring();
    }

    Shared& shared_;
    uint16_t program_;
    uint32_t run_;
};

class LogStream final : public ServedByThis {
public:
    LogStream(Shared& shared, uint16_t program) : shared_(shared), program_(program) {}

    Answer handle(Request& request) override {
        if (!request.is(abi::Verb::write, abi::stream_write)) return Error::bad_operation;
        if (request.word(0) != 0) return Status(Error::bad_argument, 0);
        shared_.log.append(shared_.manifest.programs[program_].name, text_of(request.bytes()));
        return Answer::with_words(request.bytes().size());
    }
    void closed() override { delete this; }

private:
    Shared& shared_;
    uint16_t program_;
};

// The object belongs to its handles: it deletes itself when they are closed.
template <typename Kind>
Result<Served> serve(const Server& server, std::unique_ptr<Kind> object, abi::Rights rights) {
    if (object == nullptr) return Error::no_memory;
    Served handle = TRY(server.make_object(*object, rights));
    static_cast<void>(object.release());
    return handle;
}

}  // namespace

Result<Served> make_directory(const Server& server, Shared& shared, uint16_t program,
                              uint32_t run) {
    return serve(
        server,
        std::unique_ptr<ExportDirectory>(new (std::nothrow) ExportDirectory(shared, program, run)),
        abi::right_of(abi::Verb::share));
}

Result<Served> make_log(const Server& server, Shared& shared, uint16_t program) {
    return serve(server, std::unique_ptr<LogStream>(new (std::nothrow) LogStream(shared, program)),
                 abi::right_of(abi::Verb::write));
}

}  // namespace annulus::init
