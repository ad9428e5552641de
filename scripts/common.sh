# Shared by the scripts beside it; sourced, never run.

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
LOGS="$ROOT/build/logs"
# $JOBS commands at a time: every core, unless the caller says otherwise.
JOBS="${JOBS:-$(nproc 2>/dev/null || echo 2)}"

say() { printf '%s\n' "$*"; }

# is_there NAME PROBE: whether a package of the lists is installed.
is_there() {
  if command -v dpkg-query >/dev/null && command -v apt-get >/dev/null; then
    dpkg-query -W -f '${Status}' "$1" 2>/dev/null | grep -q 'ok installed'
    return
  fi
  case "$2" in
    cmd:*) command -v "${2#cmd:}" >/dev/null ;;
    py:*) python3 -c "import ${2#py:}" 2>/dev/null ;;
    hdr:*) echo "#include <${2#hdr:}>" | g++ -std=c++20 -fsyntax-only -DPCRE2_CODE_UNIT_WIDTH=8 -x c++ - 2>/dev/null ;;
  esac
}

# install_packages LIST [quick]: installs what is missing of a package list (with `quick`: of the lines marked so). Exits
# 2, naming the packages, where it can't.
install_packages() {
  local missing=() name probe comment as_root=()
  while read -r name probe comment; do
    case "$name" in '#'* | '') continue ;; esac
    if [ "${2:-}" = quick ] && [[ "$comment" != '# quick'* ]]; then continue; fi
    is_there "$name" "$probe" || missing+=("$name")
  done <"$1"
  if [ ${#missing[@]} -eq 0 ]; then return 0; fi
  if ! command -v apt-get >/dev/null; then
    say "This is neither Debian nor Ubuntu. Missing are the equivalents of these packages: ${missing[*]}" >&2
    exit 2
  fi
  if [ "$(id -u)" -ne 0 ]; then
    if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
      as_root=(sudo -n)
    else
      say "Missing packages, and no rights to install them. Please run: apt-get install ${missing[*]}" >&2
      exit 2
    fi
  fi
  if ! step "Install ${#missing[@]} packages: ${missing[*]}" install-packages apt_install "${missing[@]}"; then
    say "Could not install: ${missing[*]}" >&2
    exit 2
  fi
}

apt_install() {
  "${as_root[@]}" apt-get update -q &&
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@"
}

# step TITLE LOG COMMAND...: runs the command with its output in build/logs/LOG.log, prints one line with the seconds
# it took, and the end of the log when it fails. Returns the command's status.
step() {
  local title="$1" log="$LOGS/$2.log" begin status=0
  shift 2
  mkdir -p "$LOGS"
  begin=$SECONDS
  # A terminal's line is written over by the result; a log gets one line when the step begins and one when it ends.
  if [ -t 1 ]; then printf '%s ...\r' "$title"; else printf '         %s ...\n' "$title"; fi
  "$@" >"$log" 2>&1 || status=$?
  if [ $status -eq 0 ]; then
    printf '[%4d s] %s\n' $((SECONDS - begin)) "$title"
  else
    printf '[%4d s] FAILED (%d): %s\n' $((SECONDS - begin)) $status "$title"
    tail -n 60 "$log" | sed 's/^/    /'
    say "    (whole log: ${log#"$ROOT"/})"
  fi
  return $status
}

# build_preset PRESET FOLDER [TARGET...]: configures and builds one CMake preset: with ccache where there is one, else
# with several files of a module at once (cmake/KakeyaModule.cmake).
build_preset() {
  local settings=(-DKAKEYA_UNITY=ON) preset="$1" folder="$2"
  shift 2
  if command -v ccache >/dev/null; then settings=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache -DKAKEYA_UNITY=OFF); fi
  # Always told: a folder remembers what it was configured with.
  settings+=(-DKAKEYA_NATIVE="${NATIVE:-OFF}")
  step "Configure $preset" "configure-$preset" cmake -S "$ROOT" --preset "$preset" "${settings[@]}" &&
    step "Build $preset ($JOBS jobs)" "build-$preset" cmake --build "$ROOT/$folder" -j "$JOBS" ${1:+--target "$@"}
}
