// Package stage is what a process does between the host's fork and the plugin. A program that imports it, started again
// with the variable LOOP_STAGE, gives up what a script says and executes the plugin in its place.
//
// It runs before the program's other packages initialise, which takes longer than the rest of a start. Go first
// initialises the packages that import the least and come first in the alphabet, so this one imports only syscall and
// reads its script itself. It decides nothing: package confine decides what to give up.
package stage

import (
	"syscall"
	"unsafe"
)

// Key names the variable that makes a stage of a program. Its value is two descriptors: that of the script, and that on
// which to report a failure. They are closed when the plugin is executed.
const Key = "LOOP_STAGE"

// The words that begin the lines of a script. A line is a word and its arguments, separated by spaces: numbers, and
// then possibly a path, which may contain spaces but no line break. Restrictions that come with the last line also hold
// afterwards if nothing is executed.
const (
	Host    = "host"    // no argument: a stage whose host has ended ends
	Limit   = "limit"   // resource, number: a limit of setrlimit(2), soft and hard, no higher than the one in force
	Drop    = "drop"    // no argument: all capabilities
	NoNew   = "nonew"   // no argument: no new privileges by executing programs
	Score   = "score"   // oom_score_adj
	Ruleset = "ruleset" // file access, network access, scopes, that Landlock handles from the last line on
	Beneath = "beneath" // file access, path: allowed, unless the path leads nowhere
	Open    = "open"    // file access, descriptor: allowed
	Port    = "port"    // network access, port: allowed
	Filter  = "filter"  // hexadecimal digits: a filter of system calls, in force from the last line on
	Execute = "execute" // path

	// Of a process in namespaces of its own, which has the capability SYS_ADMIN until Drop.

	Alone     = "alone"     // user, group: the only ones that there are, with the numbers that they have outside
	Unshared  = "unshared"  // no argument: a mount namespace of its own from here on
	Hide      = "hide"      // path: covered by something empty, if it exists
	Processes = "processes" // no argument: /proc is that of the namespace
)

// exitFailed is the stage's exit code.
const exitFailed = 127

func init() {
	value, found := syscall.Getenv(Key)
	if !found {
		return
	}
	first, second := cut(value, ' ')
	from, report := int(parse(first)), int(parse(second))
	syscall.CloseOnExec(from)
	syscall.CloseOnExec(report)
	script, failed := readAll(from)
	if failed == "" {
		failed = (&stage{report: report, ruleset: -1}).run(script)
	}
	if failed == "" {
		syscall.Exit(0)
	}
	_, _ = syscall.Write(report, []byte(failed)) // if this fails, the exit code is left
	syscall.Exit(exitFailed)
}

// stage is what the lines so far have made and said.
type stage struct {
	report  int // the pipe for what failed
	ruleset int
	handled uint64 // file access that the ruleset handles
	filter  []byte
}

// run carries out a script and says what failed. Of an error of the execution it returns only the number.
func (s *stage) run(script string) string {
	for len(script) > 0 {
		var line string
		line, script = cut(script, '\n')
		word, rest := cut(line, ' ')
		first, second := cut(rest, ' ')
		number := parse(first)
		var failed error
		switch word {
		case Host:
			if hostEnded(s.report) {
				return "the host has ended"
			}
		case Alone:
			failed = alone(first, second)
		case Unshared:
			failed = unshared()
		case Hide:
			failed = hide(rest)
		case Processes:
			failed = processes()
		case Limit:
			failed = limit(int(number), parse(second))
		case Drop:
			failed = drop()
		case NoNew:
			failed = prctl(prSetNoNewPrivs, 1)
		case Score:
			_ = put("/proc/self/oom_score_adj", first) // best effort: a limit of the kernel's is not the plugin's fault
		case Ruleset:
			failed = s.open(number, second)
		case Beneath:
			failed = s.beneath(number, second)
		case Open:
			failed = s.rule(rulePathBeneath, number, parse(second))
		case Port:
			failed = s.rule(rulePort, number, parse(second))
		case Filter:
			s.filter = bytesOf(first)
		case Execute:
			return s.execute(rest)
		default:
			return "the word " + word + " is unknown"
		}
		if failed != nil {
			return line + ": " + failed.Error()
		}
	}
	return s.enforce()
}

// limit sets a limit, or keeps one that is lower.
func limit(resource int, want uint64) error {
	var have syscall.Rlimit
	if err := syscall.Getrlimit(resource, &have); err != nil {
		return err
	}
	want = min(want, have.Max)
	return syscall.Setrlimit(resource, &syscall.Rlimit{Cur: want, Max: want})
}

// put writes a text to a file that is there.
func put(path, text string) error {
	f, err := syscall.Open(path, syscall.O_WRONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	_, err = syscall.Write(f, []byte(text))
	_ = syscall.Close(f) // a write to a file of the kernel's is done when it returns
	return err
}

// From linux/prctl.h and linux/capability.h.
const (
	prCapBSetDrop     = 24
	prSetSeccomp      = 22
	seccompFilter     = 2
	instruction       = 8 // bytes
	prSetNoNewPrivs   = 38
	prCapAmbient      = 47
	prCapAmbientClear = 4
	capabilityVersion = 0x20080522
	mostCapabilities  = 64
)

func prctl(option, argument uintptr) error {
	if _, _, e := syscall.RawSyscall6(syscall.SYS_PRCTL, option, argument, 0, 0, 0, 0); e != 0 {
		return e
	}
	return nil
}

// drop takes away all capabilities, including those that a program executed later would get.
func drop() error {
	for c := range uintptr(mostCapabilities) {
		if err := prctl(prCapBSetDrop, c); err != nil {
			break // EINVAL: there are no more; EPERM: there are none to lose
		}
	}
	_ = prctl(prCapAmbient, prCapAmbientClear) // a kernel without them has none
	header := struct {
		version uint32
		pid     int32
	}{version: capabilityVersion}
	var none [6]uint32
	if _, _, e := syscall.RawSyscall(syscall.SYS_CAPSET, uintptr(unsafe.Pointer(&header)),
		uintptr(unsafe.Pointer(&none)), 0); e != 0 {
		return e
	}
	return nil
}

// From linux/landlock.h; the numbers of these calls are the same everywhere.
const (
	sysCreateRuleset = 444
	sysAddRule       = 445
	sysRestrictSelf  = 446
	rulePathBeneath  = 1
	rulePort         = 2
	ofFiles          = 1<<0 | 1<<1 | 1<<2 | 1<<14 | 1<<15 // of what is not a folder: execute, write, read, truncate, ioctl
	oPath            = 0x200000                           // O_PATH
)

// open makes the ruleset.
func (s *stage) open(files uint64, rest string) error {
	network, scopes := cut(rest, ' ')
	// An older kernel accepts fields that it does not know if they are 0.
	attributes := struct{ files, network, scopes uint64 }{files, parse(network), parse(scopes)}
	set, _, e := syscall.RawSyscall(sysCreateRuleset, uintptr(unsafe.Pointer(&attributes)), unsafe.Sizeof(attributes), 0)
	if e != 0 {
		return e
	}
	s.ruleset, s.handled = int(set), files
	return nil
}

// beneath allows access to a path and what is beneath it. What the stage cannot reach the plugin cannot reach either.
func (s *stage) beneath(access uint64, path string) error {
	f, err := syscall.Open(path, oPath|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer func() { _ = syscall.Close(f) }()
	return s.rule(rulePathBeneath, access, uint64(f))
}

func (s *stage) rule(kind uintptr, access, what uint64) error {
	// The kernel reads a packed structure: 8 bytes and 4 for a file, 8 and 8 for a port. It does not look at the 4 bytes
	// of padding that end the one for a file here.
	rule := struct {
		access uint64
		file   int32
		_      int32
	}{access: access, file: int32(what)}
	at := unsafe.Pointer(&rule)
	if kind == rulePort {
		port := struct{ access, port uint64 }{access, what}
		at = unsafe.Pointer(&port)
	} else {
		var st syscall.Stat_t
		if err := syscall.Fstat(int(what), &st); err != nil {
			return err
		}
		if st.Mode&syscall.S_IFMT != syscall.S_IFDIR {
			rule.access &= ofFiles
		}
		rule.access &= s.handled
	}
	if _, _, e := syscall.RawSyscall6(sysAddRule, uintptr(s.ruleset), kind, uintptr(at), 0, 0, 0); e != 0 {
		return e
	}
	return nil
}

// execute becomes the plugin, with this process's arguments and its environment without the stage's variable.
func (s *stage) execute(path string) string {
	arguments, failed := arguments()
	if failed != "" {
		return failed
	}
	var environment []string
	for _, v := range syscall.Environ() {
		if name, _ := cut(v, '='); name != Key {
			environment = append(environment, v)
		}
	}
	if failed := s.enforce(); failed != "" {
		return failed
	}
	e, _ := syscall.Exec(path, arguments, environment).(syscall.Errno) //nolint:errorlint // it returns nothing else
	return digits(int(e))
}

// enforce puts the ruleset and the filter in force.
func (s *stage) enforce() string {
	if s.ruleset >= 0 {
		if _, _, e := syscall.RawSyscall(sysRestrictSelf, uintptr(s.ruleset), 0, 0); e != 0 {
			return "restricting itself: " + e.Error()
		}
		_ = syscall.Close(s.ruleset)
	}
	if len(s.filter) >= instruction {
		program := struct {
			length uint16
			at     unsafe.Pointer
		}{uint16(len(s.filter) / instruction), unsafe.Pointer(&s.filter[0])}
		if _, _, e := syscall.RawSyscall(syscall.SYS_PRCTL, prSetSeccomp, seccompFilter,
			uintptr(unsafe.Pointer(&program))); e != 0 {
			return "filtering its system calls: " + e.Error()
		}
	}
	return ""
}

// arguments are the arguments of this process, which package os would know.
func arguments() (arguments []string, failed string) {
	f, err := syscall.Open("/proc/self/cmdline", syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, "opening /proc/self/cmdline: " + err.Error()
	}
	defer func() { _ = syscall.Close(f) }()
	rest, failed := readAll(f)
	for len(rest) > 0 {
		var argument string
		argument, rest = cut(rest, 0)
		arguments = append(arguments, argument)
	}
	return arguments, failed
}

// readAll reads a file from its beginning, wherever its writer has left the position.
func readAll(f int) (text, failed string) {
	var all []byte
	for {
		var part [4096]byte
		n, err := syscall.Pread(f, part[:], int64(len(all)))
		switch {
		case err == syscall.EINTR:
		case err != nil:
			return "", "reading what is to be done: " + err.Error()
		case n == 0:
			return string(all), ""
		default:
			all = append(all, part[:n]...)
		}
	}
}

// cut is strings.Cut.
func cut(text string, at byte) (before, after string) {
	for i := range len(text) {
		if text[i] == at {
			return text[:i], text[i+1:]
		}
	}
	return text, ""
}

// parse reads a decimal number. Any other text is 0, which allows nothing and limits to nothing.
func parse(text string) uint64 {
	var number uint64
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return 0
		}
		number = 10*number + uint64(text[i]-'0')
	}
	return number
}

// bytesOf reads hexadecimal digits in small letters.
func bytesOf(text string) []byte {
	value := func(digit byte) byte {
		if digit <= '9' {
			return digit - '0'
		}
		return digit - 'a' + 10
	}
	all := make([]byte, 0, len(text)/2)
	for i := 0; i+1 < len(text); i += 2 {
		all = append(all, value(text[i])<<4|value(text[i+1]))
	}
	return all
}

// digits writes a number that is not negative.
func digits(number int) string {
	if number < 10 {
		return string(rune('0' + number))
	}
	return digits(number/10) + string(rune('0'+number%10))
}
