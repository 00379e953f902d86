# The only way to declare targets. DEPS are public; lists are sorted.
include(GoogleTest)

# Paths count from the source directory, in debug information and in the compiler's cache: where a clone lies changes no
# binary, and a new one finds what another compiled.
add_compile_options(-ffile-prefix-map=${PROJECT_SOURCE_DIR}=.)
find_program(LOCKSTEP_CCACHE ccache)
if(LOCKSTEP_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(launcher ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${PROJECT_SOURCE_DIR} CCACHE_NOHASHDIR=true ${LOCKSTEP_CCACHE})
  set(CMAKE_C_COMPILER_LAUNCHER ${launcher})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${launcher})
endif()

# What the sanitizer and fuzz presets build: the tests with label unit, the fuzz targets.
add_custom_target(unit_tests)
add_custom_target(fuzz_targets)

# lockstep_library(NAME common_base HDRS a.h SRCS a.cc DEPS absl::status ...)
# HDRS are headers of the source tree that compile alone; generated ones and *-inl.h are not listed.
function(lockstep_library)
  cmake_parse_arguments(ARG "" "NAME" "HDRS;SRCS;DEPS" ${ARGN})
  if(ARG_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "lockstep_library(${ARG_NAME}): unknown ${ARG_UNPARSED_ARGUMENTS}")
  endif()
  if(ARG_SRCS)
    add_library(${ARG_NAME} STATIC)
    target_link_libraries(${ARG_NAME} PUBLIC lockstep_options ${ARG_DEPS})
    target_sources(${ARG_NAME} PRIVATE ${ARG_SRCS})
    target_sources(${ARG_NAME} PUBLIC FILE_SET HEADERS BASE_DIRS ${PROJECT_SOURCE_DIR} FILES ${ARG_HDRS})
  else()
    add_library(${ARG_NAME} INTERFACE)
    target_link_libraries(${ARG_NAME} INTERFACE lockstep_options ${ARG_DEPS})
    target_sources(${ARG_NAME} INTERFACE FILE_SET HEADERS BASE_DIRS ${PROJECT_SOURCE_DIR} FILES ${ARG_HDRS})
  endif()
endfunction()

# lockstep_proto(NAME lockstep_v1_proto PROTOS lockstep/v1/job.proto): messages only, from files under proto/. Generated
# code keeps its own warnings; it is included as "lockstep/v1/job.pb.h".
function(lockstep_proto)
  cmake_parse_arguments(ARG "" "NAME" "PROTOS" ${ARGN})
  set(root ${PROJECT_SOURCE_DIR}/proto)
  set(out ${PROJECT_BINARY_DIR}/proto)
  set(generated "")
  foreach(proto IN LISTS ARG_PROTOS)
    string(REGEX REPLACE "\\.proto$" ".pb" stem ${proto})
    add_custom_command(
      OUTPUT ${out}/${stem}.cc ${out}/${stem}.h
      COMMAND protobuf::protoc -I ${root} --cpp_out ${out} ${root}/${proto}
      DEPENDS ${root}/${proto} protobuf::protoc
      VERBATIM)
    list(APPEND generated ${out}/${stem}.cc ${out}/${stem}.h)
  endforeach()
  add_library(${ARG_NAME} STATIC ${generated})
  target_include_directories(${ARG_NAME} SYSTEM PUBLIC ${out})
  target_link_libraries(${ARG_NAME} PUBLIC protobuf::libprotobuf)
endfunction()

# lockstep_binary(NAME lockstep-worker SRCS main.cc DEPS ...)
function(lockstep_binary)
  cmake_parse_arguments(ARG "" "NAME" "SRCS;DEPS" ${ARGN})
  add_executable(${ARG_NAME} ${ARG_SRCS})
  target_link_libraries(${ARG_NAME} PRIVATE lockstep_options ${ARG_DEPS})
  set_target_properties(${ARG_NAME} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
endfunction()

# lockstep_test(NAME shape_test SRCS shape_test.cc DEPS common_tensor LABELS unit [ENV "A=b"] [TIMEOUT s])
# One ctest entry per test binary: discovery of single cases costs more time than the tests.
function(lockstep_test)
  cmake_parse_arguments(ARG "NO_MAIN" "NAME;TIMEOUT" "SRCS;DEPS;LABELS;ENV" ${ARGN})
  if(NOT ARG_LABELS)
    message(FATAL_ERROR "lockstep_test(${ARG_NAME}): give it LABELS")
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  add_executable(${ARG_NAME} ${ARG_SRCS})
  target_link_libraries(${ARG_NAME} PRIVATE lockstep_options ${ARG_DEPS} GTest::gmock
                                            $<IF:$<BOOL:${ARG_NO_MAIN}>,GTest::gtest,GTest::gmock_main>)
  set_target_properties(${ARG_NAME} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
  if("unit" IN_LIST ARG_LABELS)
    add_dependencies(unit_tests ${ARG_NAME})
  endif()
  add_test(NAME ${ARG_NAME} COMMAND ${ARG_NAME} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
  set_tests_properties(${ARG_NAME} PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT ${ARG_TIMEOUT} ENVIRONMENT "${ARG_ENV}")
endfunction()

# lockstep_bench(NAME bench_kernels SRCS kernels.cc DEPS ...)
function(lockstep_bench)
  cmake_parse_arguments(ARG "" "NAME" "SRCS;DEPS" ${ARGN})
  add_executable(${ARG_NAME} ${ARG_SRCS})
  target_link_libraries(${ARG_NAME} PRIVATE lockstep_options ${ARG_DEPS})
  set_target_properties(${ARG_NAME} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bench)
endfunction()

# lockstep_fuzz(NAME fuzz_job SRCS job_fuzz.cc DEPS ... CORPUS dir): libFuzzer with ASan; ctest runs the corpus, then 5 s.
function(lockstep_fuzz)
  cmake_parse_arguments(ARG "" "NAME;CORPUS" "SRCS;DEPS" ${ARGN})
  if(NOT LOCKSTEP_FUZZ)
    return()
  endif()
  add_executable(${ARG_NAME} ${ARG_SRCS})
  target_link_libraries(${ARG_NAME} PRIVATE lockstep_options ${ARG_DEPS})
  target_link_options(${ARG_NAME} PRIVATE -fsanitize=fuzzer)
  set_target_properties(${ARG_NAME} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/fuzz)
  set(scratch ${PROJECT_BINARY_DIR}/fuzz/${ARG_NAME}.found)
  file(MAKE_DIRECTORY ${scratch})
  add_test(NAME ${ARG_NAME} COMMAND ${ARG_NAME} -max_total_time=5 -rss_limit_mb=2048 ${scratch} ${ARG_CORPUS})
  set_tests_properties(${ARG_NAME} PROPERTIES LABELS fuzz TIMEOUT 120)
  add_dependencies(fuzz_targets ${ARG_NAME})
endfunction()
