# Flags for our own code (generated code takes build_flags only), and the three helpers all rooms use.

add_library(build_flags INTERFACE)
target_include_directories(build_flags INTERFACE ${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR})
target_compile_definitions(build_flags INTERFACE _GNU_SOURCE _FILE_OFFSET_BITS=64
  GODWIT_VERSION="${PROJECT_VERSION}")
target_compile_options(build_flags INTERFACE -fstack-protector-strong -fstack-clash-protection -fno-common
  $<$<STREQUAL:${CMAKE_SYSTEM_PROCESSOR},x86_64>:-fcf-protection>)
target_link_options(build_flags INTERFACE -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--as-needed)
if(GODWIT_FAULT_POINTS)
  target_compile_definitions(build_flags INTERFACE GODWIT_FAULT_POINTS)
endif()
if(GODWIT_SANITIZE)
  target_compile_options(build_flags INTERFACE -fsanitize=${GODWIT_SANITIZE} -fno-omit-frame-pointer
    -fno-sanitize-recover=all)
  target_link_options(build_flags INTERFACE -fsanitize=${GODWIT_SANITIZE})
else()
  target_compile_options(build_flags INTERFACE $<$<CONFIG:Release,RelWithDebInfo>:-U_FORTIFY_SOURCE>)
  target_compile_definitions(build_flags INTERFACE $<$<CONFIG:Release,RelWithDebInfo>:_FORTIFY_SOURCE=3>)
  target_compile_options(build_flags INTERFACE
    $<$<AND:$<C_COMPILER_ID:GNU>,$<CONFIG:Release>>:-ftrivial-auto-var-init=zero>)
endif()
if(GODWIT_FUZZ)
  target_compile_options(build_flags INTERFACE -fsanitize=fuzzer-no-link)
  target_link_options(build_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

# -Wcast-qual and -Wswitch-enum for gcc only: clang also looks into the INIT macros of generated headers, and counts
# the value that pads their enums.
add_library(build_rules INTERFACE)
target_link_libraries(build_rules INTERFACE build_flags)
target_compile_options(build_rules INTERFACE
  -Wall -Wextra -Wpedantic -Wconversion -Wno-sign-conversion -Wshadow -Wundef -Wvla -Wformat=2
  -Wwrite-strings -Wstrict-prototypes -Wmissing-prototypes -Wimplicit-fallthrough
  -Wnull-dereference
  $<$<C_COMPILER_ID:GNU>:-Wcast-qual -Wswitch-enum -Wlogical-op -Wduplicated-cond -Wduplicated-branches -Wjump-misses-init>)

# godwit_room(NAME SOURCES a.c … LINKS lib …): one room, one static library. LINKS are PUBLIC: what a
# room's headers or code may use is exactly what it names here.
function(godwit_room name)
  cmake_parse_arguments(R "" "" "SOURCES;LINKS" ${ARGN})
  add_library(${name} STATIC ${R_SOURCES})
  target_link_libraries(${name} PRIVATE build_rules PUBLIC ${R_LINKS})
endfunction()

# godwit_program(NAME SOURCES … LINKS …): an installed executable.
function(godwit_program name dir)
  cmake_parse_arguments(P "" "" "SOURCES;LINKS" ${ARGN})
  add_executable(${name} ${P_SOURCES})
  target_link_libraries(${name} PRIVATE build_rules ${P_LINKS})
  set_target_properties(${name} PROPERTIES POSITION_INDEPENDENT_CODE ON
    RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
endfunction()

# godwit_unit_test(NAME SOURCES … LINKS …): a cmocka program run by ctest.
set(unit_timeout 300)
if(GODWIT_SANITIZE STREQUAL "thread") # twenty times slower where much is read
  set(unit_timeout 900)
endif()
function(godwit_unit_test name)
  cmake_parse_arguments(T "" "" "SOURCES;LINKS" ${ARGN})
  add_executable(test_${name} ${T_SOURCES})
  target_link_libraries(test_${name} PRIVATE build_rules ${T_LINKS} PkgConfig::cmocka)
  add_test(NAME unit.${name} COMMAND test_${name})
  set_tests_properties(unit.${name} PROPERTIES TIMEOUT ${unit_timeout} LABELS unit SKIP_RETURN_CODE 77)
endfunction()

# godwit_fuzz_target(NAME SOURCES … LINKS …): libFuzzer with GODWIT_FUZZ; else a replay of the corpus.
function(godwit_fuzz_target name)
  cmake_parse_arguments(F "" "" "SOURCES;LINKS" ${ARGN})
  if(GODWIT_FUZZ)
    add_executable(fuzz_${name} ${F_SOURCES})
    target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
  else()
    add_executable(fuzz_${name} ${F_SOURCES} ${PROJECT_SOURCE_DIR}/tests/fuzz/replay.c)
    add_test(NAME fuzz.${name} COMMAND fuzz_${name} ${PROJECT_SOURCE_DIR}/tests/fuzz/corpus/${name})
    set_tests_properties(fuzz.${name} PROPERTIES TIMEOUT 120 LABELS fuzz)
  endif()
  target_link_libraries(fuzz_${name} PRIVATE build_rules ${F_LINKS})
endfunction()
