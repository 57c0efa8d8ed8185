// SPDX-License-Identifier: MIT
// Tests of whole connections: requests in, responses out.
#include "tests/host/http/fake_site.h"

#include <gtest/gtest.h>

namespace annulus::http {
namespace {

using namespace test;

class SessionTest : public testing::Test {
protected:
    FakeSite site_;
    FakePeer peer_;
    uint64_t served_ = 0;

    void SetUp() override {
        site_.files["index.html"] = "<h1>hello</h1>";
        site_.files["docs/"] = "";
        site_.files["docs/index.html"] = "docs";
        site_.files["docs/a b.txt"] = "spaced";
        site_.files["empty"] = "";
        site_.files["big"] = std::string(100'000, 'x');
    }
    std::string run() {
        Session session(peer_, site_);
        session.run();
        served_ = session.served();
        return peer_.heard;
    }
    std::string get(const std::string& target) {
        peer_.says = {"GET " + target + " HTTP/1.1\r\nHost: h\r\n\r\n"};
        return run();
    }
};

unsigned status_in(const std::string& text) {
    return text.starts_with("HTTP/1.1 ") ? static_cast<unsigned>(std::stoul(text.substr(9, 3))) : 0;
}

size_t count_of(const std::string& text, const std::string& part) {
    size_t count = 0;
    for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1))
        count++;
    return count;
}

bool has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

TEST_F(SessionTest, a_file_is_sent_with_its_length_and_type) {
    const std::string answer = get("/");
    EXPECT_EQ(status_in(answer), 200u);
    EXPECT_TRUE(has(answer, "\r\nContent-Length: 14\r\n"));
    EXPECT_TRUE(has(answer, "\r\nContent-Type: text/html; charset=utf-8\r\n"));
    EXPECT_TRUE(answer.ends_with("\r\n\r\n<h1>hello</h1>"));
    EXPECT_EQ(served_, 1u);
}

TEST_F(SessionTest, head_sends_no_body) {
    peer_.says = {"HEAD /big HTTP/1.1\r\nHost: h\r\n\r\nHEAD /none HTTP/1.1\r\nHost: h\r\n\r\n"};
    const std::string answer = run();
    EXPECT_TRUE(has(answer, "Content-Length: 100000\r\n"));
    EXPECT_FALSE(has(answer, "xx"));
    EXPECT_EQ(count_of(answer, "\r\n\r\n"), 2u);
    EXPECT_TRUE(answer.ends_with("\r\n\r\n"));
    // Nor when what follows the method is wrong, or never comes.
    peer_ = {};
    peer_.says = {"HEAD / HTTP/1.1\r\nno header\r\n\r\n"};
    const std::string refused = run();
    EXPECT_EQ(status_in(refused), 400u);
    EXPECT_TRUE(refused.ends_with("\r\n\r\n"));
    peer_ = {};
    peer_.ends = false;
    peer_.says = {"HEAD / HTTP/1.1\r\n"};
    const std::string slow = run();
    EXPECT_EQ(status_in(slow), 408u);
    EXPECT_TRUE(slow.ends_with("\r\n\r\n"));
}

// The longest line of a response's head repeats the target.
TEST_F(SessionTest, the_longest_target_fits_into_a_head_and_a_longer_one_is_refused) {
    std::string longest;
    std::string path;
    for (size_t i = 0; longest.size() + 4 < target_max; i++) {
        if (i % 200 == 0) longest += "/", path += "/";
        longest += "%66", path += "f";
    }
    const size_t missing = target_max - longest.size();
    longest += std::string(missing, 'f'), path += std::string(missing, 'f');
    site_.files[path.substr(1) + "/"] = "";
    EXPECT_TRUE(has(get(longest), "\r\nLocation: " + longest + "/\r\n"));
    peer_.heard.clear();
    EXPECT_EQ(status_in(get(longest + "f")), 414u);  // target_max + 1
}

TEST_F(SessionTest, large_and_empty_files_arrive_whole) {
    const std::string big = get("/big");
    EXPECT_EQ(big.substr(big.find("\r\n\r\n") + 4), std::string(100'000, 'x'));
    peer_.heard.clear();
    EXPECT_TRUE(has(get("/empty"), "Content-Length: 0\r\n"));
}

TEST_F(SessionTest, requests_may_be_pipelined_and_cut_anywhere) {
    std::string text;
    for (const char* target : {"/", "/docs/", "/docs/a%20b.txt", "/nothing", "/empty?x=/../y"}) {
        text += std::string("GET ") + target + " HTTP/1.1\r\nHost: h\r\n\r\n";
    }
    peer_.says = {text};
    const std::string whole = run();
    EXPECT_EQ(count_of(whole, "HTTP/1.1 200 OK"), 4u);
    EXPECT_EQ(count_of(whole, "HTTP/1.1 404 Not Found"), 1u);
    for (const size_t step : {1, 2, 3, 7, 64}) {
        FakePeer peer;
        for (size_t at = 0; at < text.size(); at += step)
            peer.says.push_back(text.substr(at, step));
        Session session(peer, site_);
        session.run();
        EXPECT_EQ(peer.heard, whole) << step;
        EXPECT_EQ(session.served(), 5u);
    }
}

TEST_F(SessionTest, a_folder_without_its_slash_is_redirected) {
    const std::string answer = get("/docs");
    EXPECT_EQ(status_in(answer), 301u);
    EXPECT_TRUE(has(answer, "\r\nLocation: /docs/\r\n"));
}

TEST_F(SessionTest, no_target_leads_out_of_the_site) {
    for (const char* target : {"/..",         "/../x",       "/docs/../../x",
                               "/docs/..",    "/%2e%2e/x",   "/%2E./x",
                               "/.%2e",       "/./x",        "/docs/%2e/x",
                               "/a%2fb",      "/a%2F..%2fb", "/%00",
                               "/a%0d%0aX:y", "/%",          "/%4",
                               "/%zz",        "/a%7f",       "*",
                               "x",           "http:///x",   "/#x"}) {
        site_.last_asked.clear();
        peer_.heard.clear();
        EXPECT_EQ(status_in(get(target)), 400u) << target;
        EXPECT_EQ(site_.last_asked, "") << target;
    }
    for (const char* target : {"//", "//docs/", "/docs//a", "/docs///"}) {
        site_.last_asked.clear();
        peer_.heard.clear();
        EXPECT_EQ(status_in(get(target)), 404u) << target;
        EXPECT_EQ(site_.last_asked, "") << target;
    }
    peer_.heard.clear();
    EXPECT_EQ(status_in(get("/" + std::string(256, 'n'))), 404u);
    peer_.heard.clear();
    EXPECT_EQ(status_in(get("/" + std::string(1500, 'n'))), 404u);
}

TEST_F(SessionTest, absolute_targets_name_the_same_files) {
    EXPECT_EQ(status_in(get("http://h/docs/")), 200u);
    peer_.heard.clear();
    EXPECT_EQ(status_in(get("HTTP://h:80")), 200u);
    // A query without a path before it belongs to the root, whatever it holds.
    peer_.heard.clear();
    const std::string root = get("http://h/");
    peer_.heard.clear();
    EXPECT_EQ(get("http://h?next=/docs/"), root);
    peer_.heard.clear();
    EXPECT_EQ(status_in(get("http://?next=/docs/")), 400u);
    peer_.heard.clear();
    EXPECT_EQ(status_in(get("http://h#/docs/")), 400u);
}

TEST_F(SessionTest, other_methods_are_refused_and_the_connection_goes_on) {
    peer_.says = {
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nGET /"
        "FOO / HTTP/1.1\r\nHost: h\r\n\r\nOPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n"
        "GET / HTTP/1.1\r\nHost: h\r\n\r\n"};
    const std::string answer = run();
    EXPECT_EQ(count_of(answer, "HTTP/1.1 405 "), 2u);
    EXPECT_EQ(count_of(answer, "\r\nAllow: GET, HEAD\r\n"), 2u);
    EXPECT_EQ(count_of(answer, "HTTP/1.1 501 "), 1u);
    EXPECT_EQ(count_of(answer, "HTTP/1.1 200 "), 1u);
}

TEST_F(SessionTest, connection_headers_decide_whether_it_stays) {
    const auto stays = [&](const std::string& version, const std::string& headers) {
        peer_ = {};
        const std::string request = "GET / HTTP/" + version + "\r\n" + headers + "\r\n";
        peer_.says = {request + request};
        const std::string answer = run();
        const size_t responses = count_of(answer, "HTTP/1.1 200");
        EXPECT_EQ(responses == 1, has(answer, "Connection: close"));
        EXPECT_EQ(peer_.finished, responses == 1);
        return responses == 2;
    };
    EXPECT_TRUE(stays("1.1", "Host: h\r\n"));
    EXPECT_FALSE(stays("1.1", "Host: h\r\nConnection: close\r\n"));
    EXPECT_FALSE(stays("1.1", "Host: h\r\nConnection: x ,  CLOSE\r\n"));
    EXPECT_FALSE(stays("1.0", ""));
    EXPECT_TRUE(stays("1.0", "Connection: Keep-Alive\r\n"));
    EXPECT_FALSE(stays("1.0", "Connection: keep-alive, close\r\n"));
    EXPECT_TRUE(stays("1.2", "Host: h\r\n"));
}

TEST_F(SessionTest, a_slow_client_is_told_and_let_go) {
    peer_.says = {"GET / HTTP/1.1\r\n"};
    peer_.ends = false;
    EXPECT_EQ(status_in(run()), 408u);
    EXPECT_TRUE(peer_.finished);
    // One byte every second does not help.
    peer_ = {};
    for (unsigned i = 0; i < 60; i++) peer_.says.push_back(i == 0 ? "G" : "x");
    peer_.waits = 1'000'000'000;
    EXPECT_EQ(status_in(run()), 408u);
    EXPECT_LE(peer_.time, header_time + 3'000'000'000);
    // Without a request there is nobody to tell.
    peer_ = {};
    peer_.ends = false;
    EXPECT_EQ(run(), "");
    EXPECT_FALSE(peer_.finished);
}

TEST_F(SessionTest, a_client_that_ends_in_the_middle_is_not_answered) {
    peer_.says = {"GET / HTTP/1.1\r\nHost: h\r\n"};
    EXPECT_EQ(run(), "");
    EXPECT_EQ(served_, 0u);
}

TEST_F(SessionTest, a_client_that_does_not_read_is_dropped) {
    peer_.takes_at_most = 20'000;
    static_cast<void>(get("/big"));
    EXPECT_EQ(served_, 0u);
    EXPECT_FALSE(peer_.finished);
}

TEST_F(SessionTest, a_file_that_became_shorter_ends_the_connection) {
    site_.promised_more = 1;
    peer_.says = {"GET /big HTTP/1.1\r\nHost: h\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"};
    EXPECT_EQ(count_of(run(), "HTTP/1.1"), 1u);
    EXPECT_FALSE(peer_.finished);
}

TEST_F(SessionTest, a_large_body_is_put_in_place_and_arrives_the_same) {
    constexpr std::string_view request = "GET /big HTTP/1.1\r\nHost: h\r\n\r\n";
    peer_.says = {std::string(request)};
    const std::string by_calls = run();
    peer_.heard.clear();
    peer_.says = {std::string(request)};
    peer_.in_place_from = 1;
    EXPECT_TRUE(run() == by_calls);
    peer_.heard.clear();
    peer_.takes_at_most = 5000;
    peer_.says = {std::string(request) + std::string(request)};
    EXPECT_EQ(count_of(run(), "HTTP/1.1"), 1u);
    peer_.heard.clear();
    peer_.takes_at_most = SIZE_MAX;
    site_.promised_more = 1;
    peer_.says = {std::string(request) + std::string(request)};
    EXPECT_EQ(count_of(run(), "HTTP/1.1"), 1u);
}

TEST_F(SessionTest, files_that_are_at_hand_arrive_the_same) {
    const std::vector<std::string> paths = {"/", "/empty", "/big", "/none", "/docs"};
    std::vector<std::string> answers;
    for (const bool at_hand : {false, true}) {
        site_.at_hand = at_hand;
        for (const std::string& path : paths) {
            peer_.heard.clear();
            peer_.says = {"GET " + path + " HTTP/1.1\r\nHost: h\r\n\r\n"};
            answers.push_back(run());
        }
    }
    for (size_t i = 0; i < paths.size(); i++) EXPECT_TRUE(answers[i] == answers[i + paths.size()]);
    peer_.heard.clear();
    peer_.takes_at_most = 5000;
    peer_.says = {"GET /big HTTP/1.1\r\nHost: h\r\n\r\n"};
    EXPECT_EQ(count_of(run(), "HTTP/1.1"), 0u);
}

TEST_F(SessionTest, a_body_that_waits_for_permission_ends_the_connection) {
    peer_.says = {
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n"};
    const std::string answer = run();
    EXPECT_EQ(status_in(answer), 405u);
    EXPECT_TRUE(has(answer, "\r\nConnection: close\r\n"));
    EXPECT_FALSE(has(answer, "keep-alive"));
    EXPECT_TRUE(peer_.finished);
}

}  // namespace
}  // namespace annulus::http
