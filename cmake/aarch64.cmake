# For 64-bit ARM, from another machine with Debian's cross compiler and libraries (scripts/install-packages.sh cross):
#     cmake -B build-aarch64 -DCMAKE_TOOLCHAIN_FILE=cmake/aarch64.cmake -DHL_RUNTIME_ONLY=ON -DHL_ONEDNN=OFF
# What is built runs here in qemu, where that is.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(triplet aarch64-linux-gnu)
set(CMAKE_C_COMPILER ${triplet}-gcc)
set(CMAKE_CXX_COMPILER ${triplet}-g++)
set(CMAKE_FIND_ROOT_PATH /usr/${triplet})
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(ENV{PKG_CONFIG_LIBDIR} /usr/lib/${triplet}/pkgconfig:/usr/share/pkgconfig)
find_program(HL_QEMU qemu-aarch64)
if(HL_QEMU)
  set(CMAKE_CROSSCOMPILING_EMULATOR ${HL_QEMU} -L /usr/${triplet})
endif()
