// Every rule on small samples: one accepted neighbour, one refused.
// Exemplar: CheckIncludes.* shows the form; the others follow it.
#include "tests/tidy/tidy_rules.h"

#include <ostream>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/support/status_matchers.h"
#include "tests/tidy/source_text.h"

namespace lockstep::tidy {
namespace {

using ::lockstep::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

auto Found(const std::string& rule, int line, const std::string& message_part) {
  return AllOf(Field(&Finding::rule, rule), Field(&Finding::line, line),
               Field(&Finding::message, HasSubstr(message_part)));
}

std::string Repeat(const std::string& text, int count) {
  std::string all;
  for (int i = 0; i < count; ++i) all += text;
  return all;
}

Layers SmallLayers() {
  const absl::StatusOr<Layers> layers = ParseLayers(
      "[modules]\n"
      "common/base:\n"
      "common/nn: common/base  # and nothing else\n"
      "worker/main.cc: worker/*\n"
      "worker/app: common/*\n"
      "[headers]\n"
      "mpi.h: common/nn/mpi/*\n"
      "hwy/contrib/math/*:\n"
      "hwy/*: common/nn/*.cc\n");
  return layers.value();
}

// The accepted sample stands beside the refused one, so that a rule which finds nothing, or
// everything, fails.
TEST(CheckIncludes, AcceptsListedEdgesAndRefusesAllOthers) {
  const auto check = [](const std::string& path, const std::string& text) {
    return CheckIncludes(MakeSourceFile(path, text), SmallLayers());
  };

  EXPECT_THAT(check("common/nn/a.cc", "#include \"common/base/b.h\"\n"), IsEmpty());
  EXPECT_THAT(check("common/nn/layers/a.cc", "#include \"common/nn/b.h\"\n"), IsEmpty());
  EXPECT_THAT(check("worker/app/a.cc", "#include \"common/nn/b.h\"\n"), IsEmpty());
  EXPECT_THAT(check("worker/main.cc", "#include \"worker/app/b.h\"\n"), IsEmpty());
  EXPECT_THAT(check("common/nn/a.cc", "// #include \"worker/app/b.h\"\n"), IsEmpty());

  EXPECT_THAT(check("common/base/a.cc", "\n#include \"common/nn/b.h\"\n"),
              ElementsAre(Found("layer", 2, "common/base may not include common/nn")));
  EXPECT_THAT(check("common/nn/a.cc", "#include \"worker/app/b.h\"\n"),
              ElementsAre(Found("layer", 1, "common/nn may not include worker/app")));
}

TEST(CheckIncludes, RefusesModulesThatTheListDoesNotHold) {
  EXPECT_THAT(CheckIncludes(MakeSourceFile("worker/new/a.cc", ""), SmallLayers()),
              ElementsAre(Found("layer", 0, "is in no module")));
  EXPECT_THAT(CheckIncludes(MakeSourceFile("worker/app/a.cc", "#include \"worker/new/b.h\"\n"),
                            SmallLayers()),
              ElementsAre(Found("layer", 1, "worker/new/b.h is in no module")));
}

TEST(CheckIncludes, RefusesPathsThatDoNotStartAtTheRoot) {
  EXPECT_THAT(CheckIncludes(MakeSourceFile("common/nn/a.cc", "#include \"b.h\"\n"), SmallLayers()),
              ElementsAre(Found("layer", 1, "write \"common/nn/b.h\"")));
  EXPECT_THAT(
      CheckIncludes(MakeSourceFile("common/nn/a.cc", "#include \"../base/b.h\"\n"), SmallLayers()),
      ElementsAre(Found("layer", 1, "does not start at the root")));
}

TEST(CheckIncludes, KeepsThirdPartyHeadersInTheirRooms) {
  const auto check = [](const std::string& path, const std::string& header) {
    return CheckIncludes(MakeSourceFile(path, absl::StrCat("#include ", header, "\n")),
                         SmallLayers());
  };

  EXPECT_THAT(check("common/nn/mpi/a.cc", "<mpi.h>"), IsEmpty());
  EXPECT_THAT(check("common/nn/a.cc", "\"hwy/highway.h\""), IsEmpty());
  EXPECT_THAT(check("common/base/a.cc", "<vector>"), IsEmpty());

  EXPECT_THAT(check("common/nn/a.cc", "<mpi.h>"),
              ElementsAre(Found("header", 1, "common/nn/mpi/*")));
  EXPECT_THAT(check("common/nn/a.h", "\"hwy/highway.h\""),
              ElementsAre(Found("header", 1, "hwy/highway.h")));
  EXPECT_THAT(check("common/nn/a.cc", "\"hwy/contrib/math/math-inl.h\""),
              ElementsAre(Found("header", 1, "nowhere")));
}

TEST(ParseLayers, JoinsLinesOfOneNameAndRefusesAnythingElse) {
  ASSERT_OK_AND_ASSIGN(const Layers layers,
                       ParseLayers("[modules]\na: b\na: c\n[headers]\nx.h: d\ny.h:\nx.h: e\n"));
  EXPECT_THAT(layers.modules.at("a"), ElementsAre("b", "c"));
  ASSERT_EQ(layers.headers.size(), 2u);
  EXPECT_THAT(layers.headers[0].places, ElementsAre("d", "e"));

  EXPECT_THAT(ParseLayers("a: b\n"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("layers.txt:1")));
  EXPECT_THAT(ParseLayers("[modules]\na\n"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("layers.txt:2: 'a'")));
}

TEST(CheckAcyclic, NamesEveryModuleOfACycle) {
  EXPECT_THAT(CheckAcyclic(SmallLayers()), IsEmpty());

  ASSERT_OK_AND_ASSIGN(const Layers ring, ParseLayers("[modules]\na: b d\nb: c\nc: a d\nd:\n"));
  EXPECT_THAT(CheckAcyclic(ring),
              ElementsAre(Found("cycle", 0, "a may"), Found("cycle", 0, "b may"),
                          Found("cycle", 0, "c may")));
}

TEST(CheckTokens, LooksAtCodeAndNotAtCommentsLiteralsOrLongerWords) {
  const auto check = [](const std::string& text) {
    return CheckTokens(MakeSourceFile("common/nn/a.cc", text));
  };

  EXPECT_THAT(check("// we never throw\n"), IsEmpty());
  EXPECT_THAT(check("/* using\n namespace std; throw 1; */ int a;\n"), IsEmpty());
  EXPECT_THAT(check("Log(\"throw \\\" throw\"); char c = '\"'; int b = 1'000; int d = 2'000;\n"),
              IsEmpty());
  EXPECT_THAT(check("const char* k = R\"x(a \" throw \" )\" b)x\";\n"), IsEmpty());
  EXPECT_THAT(check("Operand(1); NextRand(2); throwing = 1; std::string_view_like x;\n"),
              IsEmpty());

  EXPECT_THAT(check("int a;\nthrow a;\n"), ElementsAre(Found("token", 2, "absl::Status")));
  EXPECT_THAT(check("const char* k = \"//\"; throw 1;\n"),
              ElementsAre(Found("token", 1, "'throw'")));
  EXPECT_THAT(check("int b = 1'000; throw 'a';\n"), ElementsAre(Found("token", 1, "'throw'")));
  EXPECT_THAT(check("std::string_view s;\n"), ElementsAre(Found("token", 1, "absl::string_view")));
  EXPECT_THAT(check("int r = std::rand();\n"), ElementsAre(Found("token", 1, "philox")));
  EXPECT_THAT(check("using namespace std;\n"), ElementsAre(Found("token", 1, "'using namespace'")));
  EXPECT_THAT(check("TEST(A, DISABLED_B) {}\n"), ElementsAre(Found("token", 1, "'DISABLED_*'")));
}

TEST(CheckTokens, KnowsTheOnePlaceOfEachWord) {
  const auto check = [](const std::string& path, const std::string& text) {
    return CheckTokens(MakeSourceFile(path, text));
  };

  EXPECT_THAT(check("common/base/thread.cc", "std::thread t;\n"), IsEmpty());
  EXPECT_THAT(check("common/env/posix_clock.cc", "std::chrono::steady_clock::now();\n"), IsEmpty());
  EXPECT_THAT(check("common/nn/a.cc", "const float m = Max(a, b);\n"), IsEmpty());
  EXPECT_THAT(check("tests/common/kernels/a_test.cc", "std::exp(1.0);\n"), IsEmpty());

  EXPECT_THAT(check("worker/train/a.cc", "std::thread t;\n"),
              ElementsAre(Found("token", 1, "common/base/thread.h")));
  EXPECT_THAT(check("worker/train/a.cc", "std::chrono::steady_clock::now();\n"),
              ElementsAre(Found("token", 1, "clock.h")));
  EXPECT_THAT(check("common/kernels/a.cc", "const auto m = hn::Max(a, b);\n"),
              ElementsAre(Found("token", 1, "compare and select")));
  EXPECT_THAT(check("common/kernels/a.cc", "hn::ApproximateReciprocal(a);\n"),
              ElementsAre(Found("token", 1, "true division")));
  EXPECT_THAT(check("common/optim/a.cc", "std::pow(b, t);\n"),
              ElementsAre(Found("token", 1, "libm")));
}

TEST(CheckTokens, WantsAnIssueWithEveryTodo) {
  EXPECT_THAT(CheckTokens(MakeSourceFile("cli/a.cc", "// TODO(#12): later\n")), IsEmpty());

  EXPECT_THAT(CheckTokens(MakeSourceFile("cli/a.cc", "// TODO: later\n")),
              ElementsAre(Found("token", 1, "TODO(#123)")));
  EXPECT_THAT(CheckTokens(MakeSourceFile("cli/a.cc", "// FIXME\n")),
              ElementsAre(Found("token", 1, "mend it")));
}

TEST(CheckSizes, HoldsTheBudgetOfEachKindOfFile) {
  const auto check = [](const std::string& path, int lines) {
    return CheckSizes(MakeSourceFile(path, Repeat("\n", lines)));
  };

  EXPECT_THAT(check("common/nn/a.h", 300), IsEmpty());
  EXPECT_THAT(check("common/nn/a.cc", 600), IsEmpty());
  EXPECT_THAT(check("tests/common/nn/a_test.cc", 800), IsEmpty());

  EXPECT_THAT(check("common/nn/a.h", 301),
              ElementsAre(Found("file-lines", 0, "301 lines; at most 300")));
  EXPECT_THAT(check("common/nn/a.cc", 601), ElementsAre(Found("file-lines", 0, "at most 600")));
  EXPECT_THAT(check("tests/common/nn/a_test.cc", 801),
              ElementsAre(Found("file-lines", 0, "at most 800")));
}

TEST(CheckSizes, CountsColumnsInCodePointsAndSparesAddresses) {
  const auto check = [](const std::string& line) {
    return CheckSizes(MakeSourceFile("cli/a.cc", line + "\n"));
  };

  EXPECT_THAT(check("// " + Repeat("x", 97)), IsEmpty());
  EXPECT_THAT(check("// " + Repeat("\xC2\xB5", 97)), IsEmpty());
  EXPECT_THAT(check("// https://example.org/" + Repeat("x", 97)), IsEmpty());

  EXPECT_THAT(check("// " + Repeat("x", 98)), ElementsAre(Found("columns", 1, "101 columns")));
}

TEST(CheckSizes, HoldsTheBudgetOfFunctions) {
  const auto check = [](int statements) {
    return CheckSizes(MakeSourceFile(
        "cli/a.cc", "namespace a {\n\nint F() {\n" + Repeat("  G();\n", statements) + "}\n}\n"));
  };

  EXPECT_THAT(check(68), IsEmpty());
  EXPECT_THAT(check(69), ElementsAre(Found("function-lines", 3, "F has 71 lines; at most 70")));
}

TEST(CheckSizes, HoldsTheBudgetOfParametersInDeclarationsToo) {
  const auto check = [](const std::string& text) {
    return CheckSizes(MakeSourceFile("cli/a.h", text));
  };

  EXPECT_THAT(check("void F(int a, int b, std::map<int, int> c, int d, int e = G(1, 2));\n"),
              IsEmpty());

  EXPECT_THAT(check("void F(int a, int b, int c, int d, int e,\n       int f);\n"),
              ElementsAre(Found("parameters", 1, "F has 6 parameters; at most 5")));
  EXPECT_THAT(check("struct A {\n  A(int a, int b, int c, int d, int e, int f) : a_(a) {}\n};\n"),
              ElementsAre(Found("parameters", 2, "A has 6 parameters")));
}

struct Seen {
  std::string name;
  int line, lines, parameters;
  friend bool operator==(const Seen&, const Seen&) = default;
  friend std::ostream& operator<<(std::ostream& out, const Seen& seen) {
    return out << seen.name << " at " << seen.line << ", " << seen.lines << " lines, "
               << seen.parameters;
  }
};

std::vector<Seen> FunctionsOf(const std::string& text) {
  std::vector<Seen> all;
  for (const Function& f : FindFunctions(MakeSourceFile("cli/a.cc", text))) {
    all.push_back({f.name, f.line, f.lines, f.parameters});
  }
  return all;
}

TEST(FindFunctions, TellsBodiesFromScopesAndInitialisers) {
  EXPECT_THAT(FunctionsOf("#define M(x) \\\n  { x(1, 2); }\n"
                          "constexpr int kTable[] = {F(1, 2), 3};\n"
                          "enum class E { kA, kB };\n"
                          "namespace a::b {\n"
                          "template <class T, class U = std::vector<int>>\n"
                          "T Pick(T t, U u) {\n  auto f = [](int x) { return x; };\n  if (t) { "
                          "return f(1); }\n  return t;\n}\n"
                          "}\n"),
              ElementsAre(Seen{"Pick", 6, 6, 2}));
}

TEST(FindFunctions, SeesMembersConstructorsAndOperators) {
  EXPECT_THAT(
      FunctionsOf("class ABSL_LOCKABLE A : public B {\n"
                  " public:\n"
                  "  explicit A(int a) : a_{a}, b_(a), c_{} {}\n"
                  "  bool operator==(const A& other) const {\n    return true;\n  }\n"
                  "  void operator()(int a, int b);\n"
                  "  std::function<int(int, int)> f_ = nullptr;\n"
                  " private:\n"
                  "  int a_ = 0;\n"
                  "};\n"),
      ElementsAre(Seen{"A", 3, 1, 1}, Seen{"operator", 4, 3, 1}, Seen{"operator", 7, 0, 2}));
}

TEST(FindFunctions, SeesTestsAndEntryPoints) {
  EXPECT_THAT(FunctionsOf("TEST(A, B) {\n  EXPECT_EQ(1, 1);\n}\n"
                          "extern \"C\" int Entry(const uint8_t* data, size_t size) { return 0; }\n"
                          "extern \"C\" {\nint Other(void);\n}\n"),
              ElementsAre(Seen{"TEST", 1, 3, 2}, Seen{"Entry", 4, 1, 2}, Seen{"Other", 6, 0, 0}));
}

TEST(CheckHeader, WantsACardAndTheGuardOfItsPath) {
  const auto check = [](const std::string& path, const std::string& text) {
    return CheckHeader(MakeSourceFile(path, text));
  };
  const std::string guard = "#ifndef LOCKSTEP_COMMON_NN_A_H_\n";

  EXPECT_THAT(check("common/nn/a.h", "// A: something.\n" + guard), IsEmpty());
  EXPECT_THAT(check("common/nn/a.cc", "int a;\n"), IsEmpty());

  EXPECT_THAT(check("common/nn/a.h", guard), ElementsAre(Found("card", 1, "room card")));
  EXPECT_THAT(check("common/nn/b.h", "// B: something.\n" + guard),
              ElementsAre(Found("guard", 1, "LOCKSTEP_COMMON_NN_B_H_")));
}

TEST(CheckTestNames, RefusesUnderscores) {
  EXPECT_THAT(
      CheckTestNames(MakeSourceFile("tests/a_test.cc", "TEST(Shape, IsEqual) {\n  a_b();\n}\n")),
      IsEmpty());

  EXPECT_THAT(CheckTestNames(MakeSourceFile("tests/a_test.cc", "\nTEST_F(Shape, Is_equal) {}\n")),
              ElementsAre(Found("test-name", 2, "no underscores")));
}

BuildFiles SmallBuild() {
  BuildFiles build;
  build.Add(MakeSourceFile(
      "common/nn/CMakeLists.txt",
      "lockstep_room(NAME layers DIR common/nn/layers)\n"
      "lockstep_library(NAME nn SRCS model.cc sub/deep.cc)  # gone.cc\n"
      "foreach(name IN ITEMS one two)\n  lockstep_test(SRCS ${name}_test.cc)\nendforeach()\n"));
  return build;
}

TEST(CheckBuild, WantsEverySourceInATarget) {
  const auto check = [](const std::string& path) {
    return CheckBuild(MakeSourceFile(path, ""), SmallBuild());
  };

  EXPECT_THAT(check("common/nn/model.cc"), IsEmpty());
  EXPECT_THAT(check("common/nn/sub/deep.cc"), IsEmpty());
  EXPECT_THAT(check("common/nn/two_test.cc"), IsEmpty());
  EXPECT_THAT(check("common/nn/alone.h"), IsEmpty());

  EXPECT_THAT(check("common/nn/gone.cc"), ElementsAre(Found("unlisted", 0, "never built")));
  EXPECT_THAT(check("common/nn/three_test.cc"), ElementsAre(Found("unlisted", 0, "never built")));
  EXPECT_THAT(check("common/data/model.cc"), ElementsAre(Found("unlisted", 0, "never built")));
}

TEST(CheckBuild, WantsADefinitionInEveryRoomFile) {
  const auto check = [](const std::string& text) {
    return CheckBuild(MakeSourceFile("common/nn/layers/dense.cc", text), SmallBuild());
  };

  EXPECT_THAT(check("namespace lockstep::layers::dense {\nconst LayerDef kDef = {};\n}\n"),
              IsEmpty());

  EXPECT_THAT(check("namespace lockstep::layers::dense {\n// kDef\n}\n"),
              ElementsAre(Found("room", 0, "defines kDef")));
  EXPECT_THAT(check("namespace lockstep::layers::conv {\nconst LayerDef kDef = {};\n}\n"),
              ElementsAre(Found("room", 0, "ends in ::dense")));
}

TEST(CheckDocPaths, WantsEveryNamedPathToExist) {
  const std::set<std::string> paths = {"common", "common/a.h", "common/a.cc",
                                       "docs",   "docs/B.md",  "scripts/test.sh"};
  const auto check = [&paths](const std::string& text) {
    return CheckDocPaths(MakeSourceFile("docs/A.md", text), paths);
  };

  EXPECT_THAT(check("`common/a.{h,cc}`, `common/`, `common/a.h#L3` and common/not-code\n"),
              IsEmpty());
  EXPECT_THAT(check("`common/<name>.cc`, `other/x.h`; [B](B.md#part), [c](../common/a.h), "
                    "[d](https://x.y/z)\n"),
              IsEmpty());
  EXPECT_THAT(check("```\n$ scripts/test.sh -R x\n```\n"), IsEmpty());

  EXPECT_THAT(check("\nsee `common/a.{h,inc}`.\n"),
              ElementsAre(Found("doc-path", 2, "common/a.inc does not exist")));
  EXPECT_THAT(check("[C](C.md)\n"), ElementsAre(Found("doc-path", 1, "docs/C.md")));
  EXPECT_THAT(check("```\n./scripts/gone.sh\n```\n"),
              ElementsAre(Found("doc-path", 2, "scripts/gone.sh")));
}

TEST(ApplyAllowList, AllowsExactlyWhatIsThereAndOnlyShrinks) {
  const Findings two = {{"columns", "a.cc", 1, "m"}, {"columns", "a.cc", 9, "m"}};

  EXPECT_THAT(ApplyAllowList(two, "# why\ncolumns a.cc 2\n"), IsEmpty());

  EXPECT_THAT(ApplyAllowList(two, ""),
              ElementsAre(Found("columns", 1, "m"), Found("columns", 9, "m")));
  EXPECT_THAT(ApplyAllowList(two, "columns a.cc 1\n"),
              ElementsAre(Found("columns", 1, "m"), Found("columns", 9, "m")));
  EXPECT_THAT(ApplyAllowList(two, "columns a.cc 3\n"),
              ElementsAre(Found("allow", 0, "there are 2")));
  EXPECT_THAT(ApplyAllowList({}, "columns b.cc 1\n"),
              ElementsAre(Found("allow", 0, "there are 0")));
  EXPECT_THAT(ApplyAllowList({}, "columns b.cc\n"),
              ElementsAre(Found("allow", 0, "rule path count")));
}

}  // namespace
}  // namespace lockstep::tidy
