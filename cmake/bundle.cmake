# Makes BINARY/hl-VERSION-linux-ARCH.tar.gz, which unpacks to
#     hl-VERSION/bin        hl, and the tests that a machine with a GPU is to pass
#               /lib        libhl_cuda.so, and the libraries that all these need
#               /share/hl   configurations, the trained model, fixtures, scripts
# and runs from any place, with the libc of this machine or a newer one.
# Run by the target `bundle`, with SOURCE BINARY VERSION ARCH GENERATOR COMPILER ONEDNN CUDA CUDA_ARCHITECTURES.
cmake_minimum_required(VERSION 3.22)

set(build ${BINARY}/bundle-build)
set(name hl-${VERSION})
set(tree ${BINARY}/bundle-tree/${name})
set(archive ${BINARY}/${name}-linux-${ARCH}.tar.gz)
set(programs hl ops_test parity gpu_test)

function(run)
  execute_process(COMMAND ${ARGV} COMMAND_ERROR_IS_FATAL ANY)
endfunction()

# ---- programs. Their RPATH, not RUNPATH, also finds what the libraries beside them need.
set(march "")
if(ARCH STREQUAL x86_64)
  set(march x86-64-v3) # AVX2: any server's processor since 2015
endif()
execute_process(
  COMMAND ${CMAKE_COMMAND} -S ${SOURCE} -B ${build} -G ${GENERATOR} -DCMAKE_C_COMPILER=${COMPILER}
          -DHL_NATIVE=OFF -DHL_MARCH=${march} -DHL_ONEDNN=${ONEDNN} -DHL_CUDA=${CUDA} "-DHL_CUDA_ARCHITECTURES=${CUDA_ARCHITECTURES}"
          -DCMAKE_BUILD_WITH_INSTALL_RPATH=ON "-DCMAKE_INSTALL_RPATH=$ORIGIN/../lib"
          -DCMAKE_EXE_LINKER_FLAGS=-Wl,--disable-new-dtags -DCMAKE_MODULE_LINKER_FLAGS=-Wl,--enable-new-dtags
  OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)
set(targets ${programs})
if(CUDA)
  list(APPEND targets hl_cuda)
endif()
run(${CMAKE_COMMAND} --build ${build} --target ${targets})

file(REMOVE_RECURSE ${BINARY}/bundle-tree)
foreach(program IN LISTS programs)
  set(from ${build}/tests/${program})
  if(program STREQUAL hl)
    set(from ${build}/hl)
  endif()
  file(COPY ${from} DESTINATION ${tree}/bin)
  list(APPEND executables ${tree}/bin/${program})
endforeach()
set(modules)
if(CUDA)
  file(COPY ${build}/libhl_cuda.so DESTINATION ${tree}/lib)
  set(modules MODULES ${tree}/lib/libhl_cuda.so)
endif()

# ---- libraries, but those that belong to the machine: libc's, the driver's, CUDA's.
file(MAKE_DIRECTORY ${tree}/share/hl/licenses)
file(GET_RUNTIME_DEPENDENCIES
  EXECUTABLES ${executables} ${modules}
  PRE_EXCLUDE_REGEXES "^ld-linux" "^lib(c|m|mvec|pthread|dl|rt|resolv|util|anl|nsl)\\.so"
                      "^lib(cuda|nv|cublas|cudnn)"
  RESOLVED_DEPENDENCIES_VAR libraries)
foreach(library IN LISTS libraries)
  get_filename_component(soname ${library} NAME)
  file(REAL_PATH ${library} file)
  file(COPY_FILE ${file} ${tree}/lib/${soname})
  # With its licence, where the system's packages tell.
  execute_process(COMMAND dpkg-query -S "*/${soname}" OUTPUT_VARIABLE package ERROR_QUIET)
  if(package MATCHES "^([^:,]+)" AND EXISTS /usr/share/doc/${CMAKE_MATCH_1}/copyright)
    file(COPY_FILE /usr/share/doc/${CMAKE_MATCH_1}/copyright ${tree}/share/hl/licenses/${CMAKE_MATCH_1})
  endif()
endforeach()
find_program(STRIP strip REQUIRED)
file(GLOB binaries ${tree}/bin/* ${tree}/lib/*)
run(${STRIP} --strip-unneeded ${binaries})

# ---- what they work on
set(share ${tree}/share/hl)
file(COPY ${SOURCE}/configs DESTINATION ${share})
file(COPY ${SOURCE}/checkpoints/reach-small.h5 DESTINATION ${share}/checkpoints)
file(COPY ${SOURCE}/scripts/gpu-check.sh DESTINATION ${share}/scripts)
file(COPY ${SOURCE}/bench/pytorch.py DESTINATION ${share}/bench)
file(GLOB fixtures ${SOURCE}/tests/golden/*.h5)
file(COPY ${fixtures} DESTINATION ${share}/golden)
file(COPY ${SOURCE}/LICENSE ${SOURCE}/README.md DESTINATION ${tree})
execute_process(COMMAND git -C ${SOURCE} describe --always --dirty --abbrev=12
                OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
file(WRITE ${share}/commit "${commit}\n")

run(${CMAKE_COMMAND} -E chdir ${BINARY}/bundle-tree ${CMAKE_COMMAND} -E tar czf ${archive} ${name})
file(SIZE ${archive} size)
math(EXPR size "${size} / 1000000")
message("${archive}, ${size} MB")
