# Target satchel_sqlite: the SQLite that we compile ourselves, or with -DSATCHEL_SYSTEM_SQLITE=ON
# the distribution's. The source is the SQLite3 Multiple Ciphers amalgamation, brought by npm and
# pinned in package-lock.json. Debian's 3.40.1 can corrupt a WAL database when two connections
# write or checkpoint at once (fixed in 3.51.3), which is why the pinned one is the default.

if(SATCHEL_SYSTEM_SQLITE)
  pkg_check_modules(SQLITE3 REQUIRED IMPORTED_TARGET sqlite3)
  add_library(satchel_sqlite INTERFACE)
  target_link_libraries(satchel_sqlite INTERFACE PkgConfig::SQLITE3)
  return()
endif()

set(SATCHEL_SQLITE_DIR
  ${PROJECT_SOURCE_DIR}/node_modules/better-sqlite3-multiple-ciphers/deps/sqlite3
  CACHE PATH "Folder with sqlite3.c and sqlite3.h")
if(NOT EXISTS ${SATCHEL_SQLITE_DIR}/sqlite3.c)
  message(FATAL_ERROR "There is no sqlite3.c in ${SATCHEL_SQLITE_DIR}: run ./dev setup first "
                      "(or configure with -DSATCHEL_SYSTEM_SQLITE=ON)")
endif()

add_library(satchel_sqlite STATIC ${SATCHEL_SQLITE_DIR}/sqlite3.c)
target_include_directories(satchel_sqlite SYSTEM PUBLIC ${SATCHEL_SQLITE_DIR})
target_compile_definitions(satchel_sqlite PRIVATE
  SQLITE_THREADSAFE=2               # a connection stays with one thread at a time
  SQLITE_DQS=0                      # "x" is a name, never a string
  SQLITE_DEFAULT_MEMSTATUS=0
  SQLITE_DEFAULT_WAL_SYNCHRONOUS=1  # a default only: the store sets synchronous itself
  SQLITE_LIKE_DOESNT_MATCH_BLOBS
  SQLITE_MAX_EXPR_DEPTH=0
  SQLITE_OMIT_DEPRECATED
  SQLITE_OMIT_LOAD_EXTENSION
  SQLITE_ENABLE_DBSTAT_VTAB
  SQLITE_OMIT_PROGRESS_CALLBACK
  SQLITE_OMIT_SHARED_CACHE
  SQLITE_USE_ALLOCA
  SQLITE_ENABLE_FTS5
  HAVE_FDATASYNC=1                  # else each commit of a WAL is an fsync, with a journal commit
  HAVE_USLEEP=1)
# One translation unit already: link-time optimisation would compile it again for each program.
set_target_properties(satchel_sqlite PROPERTIES C_STANDARD 11 C_EXTENSIONS ON
  INTERPROCEDURAL_OPTIMIZATION OFF)
# Always optimised, whatever the build type: an SQLite at -O0 or -O1 makes every test slow.
target_compile_options(satchel_sqlite PRIVATE -w -O2 -g1)
if(SATCHEL_SANITIZE)
  # gcc needs over four minutes for this file with all checks at -O2, and one with these.
  target_compile_options(satchel_sqlite PRIVATE -fno-sanitize=undefined -O1)
endif()
if(SATCHEL_FUZZ)
  # We fuzz our own parsers, and clang takes five minutes to instrument this file.
  target_compile_options(satchel_sqlite PRIVATE -fno-sanitize=all)
endif()
target_link_libraries(satchel_sqlite PRIVATE Threads::Threads m)
