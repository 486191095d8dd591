# Settings that every target of ours shares, and the functions that declare them.
# A folder is a namespace and one static library; its sources are what lies in it, so that adding a job
# touches one source and one test file.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)

# -O3 is no faster here and takes a sixth longer to compile.
string(REPLACE -O3 -O2 CMAKE_CXX_FLAGS_RELEASE "${CMAKE_CXX_FLAGS_RELEASE}")

option(CONFD_LONG_TESTS "register the suites that take long with ctest" OFF)
set(CONFD_SANITIZE "" CACHE STRING "comma list for -fsanitize, empty for none")
option(CONFD_FUZZ "build the libFuzzer targets (clang)" OFF)

find_program(CONFD_CCACHE ccache)
if(CONFD_CCACHE AND (NOT CMAKE_CXX_COMPILER_LAUNCHER OR CMAKE_CXX_COMPILER_LAUNCHER MATCHES "ccache$"))
  # The sloppiness is what ccache wants before it keeps objects that were made with a precompiled header.
  set(CMAKE_CXX_COMPILER_LAUNCHER env CCACHE_SLOPPINESS=pch_defines,time_macros ${CONFD_CCACHE})
  set(CMAKE_C_COMPILER_LAUNCHER ${CONFD_CCACHE})
endif()
find_program(CONFD_MOLD mold)
if(CONFD_MOLD)
  add_link_options(-fuse-ld=mold)
endif()

find_package(Threads REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(ZLIB REQUIRED)

add_library(confd_settings INTERFACE)
target_include_directories(confd_settings INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_options(confd_settings INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Werror -g1)
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
  # g++ 12 reports overlapping copies in std::string operator+ where there are none (GCC bug 105651).
  target_compile_options(confd_settings INTERFACE -Wno-restrict)
endif()
if(CMAKE_CXX_COMPILER_ID MATCHES Clang)
  target_compile_options(confd_settings INTERFACE -Wthread-safety)
endif()
target_compile_definitions(confd_settings INTERFACE CONFD_VERSION="${PROJECT_VERSION}"
  BOOST_ASIO_SEPARATE_COMPILATION BOOST_BEAST_SEPARATE_COMPILATION BOOST_ASIO_NO_DEPRECATED)
if(CONFD_SANITIZE)
  add_compile_options(-fsanitize=${CONFD_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${CONFD_SANITIZE})
  if(CONFD_SANITIZE MATCHES thread AND CMAKE_CXX_COMPILER_ID STREQUAL GNU)
    # Boost.Asio has memory fences that TSan does not model; locks order the same accesses.
    add_compile_options(-Wno-tsan)
  endif()
endif()
if(CONFD_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
target_link_libraries(confd_settings INTERFACE Threads::Threads)

# Precompiled headers: half the time of a clean build went into reading the same headers. Only with g++; the
# fuzz build and the thread-safety pass (clang) do without, and so see to it that each file includes what it
# needs.
function(confd_precompiled name)
  if(NOT CMAKE_CXX_COMPILER_ID STREQUAL GNU OR CMAKE_DISABLE_PRECOMPILE_HEADERS)
    return()
  endif()
  # ccache needs the first. The others: with a precompiled header g++ 12 forgets that std::string lies in a
  # system header, and reports overflows in operator+ where there are none (as above).
  target_compile_options(${name} PRIVATE -fpch-preprocess -Wno-array-bounds -Wno-stringop-overflow
    -Wno-stringop-overread)
  target_precompile_headers(${name} ${ARGN})
endfunction()

# Half the time of a build went into optimising test cases.
function(confd_test_options name)
  target_compile_options(${name} PRIVATE $<$<CONFIG:Release>:-O0>)
endfunction()

# What no single request spends its time in: a quarter less to compile.
function(confd_cold name)
  target_compile_options(${name} PRIVATE $<$<CONFIG:Release>:-O1>)
endfunction()

# confd_library(base DEPENDS rpc ... LIBRARIES OpenSSL::Crypto ...): all .cpp files of this folder, no deeper.
function(confd_library name)
  cmake_parse_arguments(ARG "" "" "DEPENDS;LIBRARIES" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp)
  if(NOT sources)  # a folder whose first source is not there yet
    set(sources ${CMAKE_CURRENT_BINARY_DIR}/empty.cpp)
    file(WRITE ${sources} "")
  endif()
  add_library(confd_${name} STATIC ${sources})
  target_link_libraries(confd_${name} PUBLIC confd_settings)
  foreach(dependency ${ARG_DEPENDS})
    target_link_libraries(confd_${name} PUBLIC confd_${dependency})
  endforeach()
  target_link_libraries(confd_${name} PUBLIC ${ARG_LIBRARIES})
  confd_precompiled(confd_${name} REUSE_FROM confd_precompiled_library)
endfunction()

# confd_tests(exaconf DEPENDS exaconf ...): all *_test.cpp of this folder, in one Catch program, one ctest entry each case.
function(confd_tests name)
  cmake_parse_arguments(ARG "" "" "DEPENDS;LIBRARIES" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp)
  if(NOT sources)
    return()
  endif()
  add_executable(test_${name} ${sources})
  target_link_libraries(test_${name} PRIVATE confd_test_main confd_test_support)
  foreach(dependency ${ARG_DEPENDS})
    target_link_libraries(test_${name} PRIVATE confd_${dependency})
  endforeach()
  target_link_libraries(test_${name} PRIVATE ${ARG_LIBRARIES})
  confd_test_options(test_${name})
  confd_precompiled(test_${name} REUSE_FROM confd_precompiled_test)
  target_compile_definitions(test_${name} PRIVATE CONFD_SOURCE_DIR="${CMAKE_SOURCE_DIR}"
    CONFD_BINARY_DIR="${CMAKE_BINARY_DIR}")
  catch_discover_tests(test_${name} TEST_PREFIX "${name}: " DISCOVERY_MODE PRE_TEST PROPERTIES TIMEOUT 300)
endfunction()

# confd_fuzz(xmlrpc DEPENDS rpc): fuzz_xmlrpc from fuzz/xmlrpc_fuzz.cpp, only with CONFD_FUZZ.
function(confd_fuzz name source)
  if(NOT CONFD_FUZZ)
    return()
  endif()
  cmake_parse_arguments(ARG "" "" "DEPENDS;LIBRARIES" ${ARGN})
  add_executable(fuzz_${name} ${source})
  foreach(dependency ${ARG_DEPENDS})
    target_link_libraries(fuzz_${name} PRIVATE confd_${dependency})
  endforeach()
  target_link_libraries(fuzz_${name} PRIVATE ${ARG_LIBRARIES})
  target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
endfunction()
