// SPDX-License-Identifier: MIT
// Tests of what programs publish.
#include "services/init/exports/export_registry.h"
#include "tests/host/init/manifest_text.h"

namespace annulus::init {
namespace {

using namespace test;
using abi::Error;
using abi::ObjectType;

constexpr uint16_t server = 0;
constexpr uint16_t client = 1;

// Program 0 provides x and y, program 1 is handed both.
struct Scene {
    std::string text =
        program("server", "provide x\nprovide y") + program("client", "give a x\ngive b y");
    Outcome outcome = parse(text);
    ExportRegistry exports{*outcome.manifest};

    bool client_can_start() const { return exports.can_start(outcome.manifest->programs[client]); }
};

TEST(export_registry, a_client_can_start_when_all_is_published) {
    Scene scene;
    ASSERT_TRUE(scene.outcome.accepted) << scene.outcome.report;
    const uint32_t run = scene.exports.begin_run(server);
    EXPECT_TRUE(scene.exports.can_start(scene.outcome.manifest->programs[server]));
    EXPECT_FALSE(scene.client_can_start());
    EXPECT_EQ(scene.exports.publish(server, run, "x", {11, ObjectType::served}), Error::ok);
    EXPECT_FALSE(scene.client_can_start());
    EXPECT_EQ(scene.exports.publish(server, run, "y", {12, ObjectType::memory}), Error::ok);
    EXPECT_TRUE(scene.client_can_start());
    EXPECT_EQ(scene.exports.at(0).object, 11u);
    EXPECT_EQ(scene.exports.at(1).type, ObjectType::memory);
}

TEST(export_registry, only_a_programs_own_names_are_taken_and_once) {
    Scene scene;
    const uint32_t run = scene.exports.begin_run(server);
    const uint32_t other = scene.exports.begin_run(client);
    EXPECT_EQ(scene.exports.publish(server, run, "z", {1, ObjectType::served}), Error::not_granted);
    EXPECT_EQ(scene.exports.publish(server, run, "", {1, ObjectType::served}), Error::not_granted);
    EXPECT_EQ(scene.exports.publish(client, other, "x", {1, ObjectType::served}),
              Error::not_granted);
    EXPECT_EQ(scene.exports.publish(server, run, "x", {1, ObjectType::served}), Error::ok);
    EXPECT_EQ(scene.exports.publish(server, run, "x", {2, ObjectType::served}), Error::exists);
    EXPECT_EQ(scene.exports.at(0).object, 1u);
}

TEST(export_registry, what_a_run_published_ends_with_it) {
    Scene scene;
    const uint32_t first = scene.exports.begin_run(server);
    EXPECT_EQ(scene.exports.publish(server, first, "y", {5, ObjectType::served}), Error::ok);
    std::array<abi::Handle, 2> withdrawn{};
    ASSERT_EQ(scene.exports.end_run(server, withdrawn), 1u);
    EXPECT_EQ(withdrawn[0], 5u);
    EXPECT_EQ(scene.exports.end_run(server, withdrawn), 0u);
    EXPECT_EQ(scene.exports.publish(server, first, "x", {6, ObjectType::served}),
              Error::wrong_state);
    const uint32_t second = scene.exports.begin_run(server);
    EXPECT_NE(first, second);
    EXPECT_EQ(scene.exports.publish(server, first, "x", {7, ObjectType::served}),
              Error::wrong_state);
    EXPECT_EQ(scene.exports.publish(server, second, "y", {8, ObjectType::served}), Error::ok);
}

TEST(export_registry, nothing_is_published_before_the_first_run) {
    Scene scene;
    EXPECT_EQ(scene.exports.publish(server, 0, "x", {1, ObjectType::served}), Error::wrong_state);
}

}  // namespace
}  // namespace annulus::init
