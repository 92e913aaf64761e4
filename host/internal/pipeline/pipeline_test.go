package pipeline

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pelletier/go-toml/v2"
	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// shape prints what Parse understood: each task with its type, line, inputs and what it awaits.
func shape(p *Pipeline) []string {
	out := make([]string, len(p.tasks))
	for i, t := range p.tasks {
		var inputs []string
		for _, in := range t.inputs {
			inputs = append(inputs, in.name)
		}
		out[i] = fmt.Sprintf("%d %s %s awaits %d inputs [%s]", t.line, t.name, t.kind, t.awaits, strings.Join(inputs, " "))
	}
	return out
}

func TestParseShape(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		source string
		want   []string
	}{
		"attributes separated by anything, over lines, in several groups": {
			"a [type=sum,\n values = <[1]> ; index=1\n\tfailEarly=true][index=\"0x10\"]",
			[]string{"1 a sum awaits 0 inputs []"},
		},
		"a repeated node merges and the later wins": {
			"a [type=any]\n\na [TYPE=sum values=<[1]>]",
			[]string{"1 a sum awaits 0 inputs []"},
		},
		"an edge before the definitions, and the undirected one": {
			"a -> b -- c\na [type=memo value=1] b [type=memo] c [type=sum]",
			[]string{"2 a memo awaits 0 inputs []", "2 b memo awaits 1 inputs [a]", "2 c sum awaits 1 inputs [b]"},
		},
		"the same edge twice counts once": {
			"a [type=memo value=1]; b [type=sum]; a -> b; a -> b",
			[]string{"1 a memo awaits 0 inputs []", "1 b sum awaits 1 inputs [a]"},
		},
		"an implicit edge orders and is no input": {
			"b [type=multiply input=\"$(a.x)\" times=2]\na [type=memo value=1]",
			[]string{"2 a memo awaits 0 inputs []", "1 b multiply awaits 1 inputs []"},
		},
		"an implicit edge beside an explicit one counts once": {
			"a [type=memo value=1]; b [type=multiply times=\"$(a)\"]; a -> b",
			[]string{"1 a memo awaits 0 inputs []", "1 b multiply awaits 1 inputs [a]"},
		},
		"an attribute that no task knows still orders": {
			"b [type=sum values=<[1]> note=\"$(a)\"]\na [type=memo value=1]",
			[]string{"2 a memo awaits 0 inputs []", "1 b sum awaits 1 inputs []"},
		},
		"arrows of a set, before its members are defined": {
			"{x y} -> m\nx [type=memo value=1]\ny [type=memo value=3]\nm [type=median]",
			[]string{"2 x memo awaits 0 inputs []", "3 y memo awaits 0 inputs []", "4 m median awaits 2 inputs [x y]"},
		},
		"arrows of members that are defined inside": {
			"{x [type=memo value=1]; y [type=memo value=3]} -> m [w=1]\nm [type=median]",
			[]string{"1 x memo awaits 0 inputs []", "1 y memo awaits 0 inputs []", "2 m median awaits 2 inputs [x y]"},
		},
		"arrows between sets, each with each": {
			"{a b} -> {c; d} -> e\na [type=memo value=1] b [type=memo value=1] c [type=median] d [type=median] e [type=median]",
			[]string{
				"2 a memo awaits 0 inputs []", "2 b memo awaits 0 inputs []", "2 c median awaits 2 inputs [a b]",
				"2 d median awaits 2 inputs [a b]",
				"2 e median awaits 2 inputs [c d]",
			},
		},
		"no arrow for a member that is mentioned before": {
			"x [type=memo value=1]; z [type=memo value=5]; z -> m\n{x y} -> m\ny [type=memo value=3]\nm [type=median " +
				"values=<[$(x)]>]",
			[]string{"1 x memo awaits 0 inputs []", "1 z memo awaits 0 inputs []", "3 y memo awaits 0 inputs []",
				"4 m median awaits 3 inputs [z y]"},
		},
		"members of arrows and sets inside": {
			"{{a b} -> c; subgraph s {d}; node [x=y]; k=v} -> e\na [type=memo value=1] b [type=memo value=1] c [type=median] " +
				"d [type=memo value=1] e [type=median]",
			[]string{
				"2 a memo awaits 0 inputs []", "2 b memo awaits 0 inputs []", "2 c median awaits 2 inputs [a b]",
				"2 d memo awaits 0 inputs []",
				"2 e median awaits 4 inputs [a b c d]",
			},
		},
		"braces of no arrow": {
			"{a b}; subgraph \"s t\" {a [type=memo value=1] b [type=median]; a -> b} subgraph {} {}",
			[]string{"1 a memo awaits 0 inputs []", "1 b median awaits 1 inputs [a]"},
		},
		"comments, CRLF, a keyword attribute and ports without effect": {
			"// one\r\n# two -> {\r\nnode [color=red]; edge [w=1] graph [x=y] rank=same\r\na:n:s [type=sum values=<[1]>] /* " +
				"-> ] */ # end\r\n",
			[]string{"4 a sum awaits 0 inputs []"},
		},
		"edge attributes are without effect": {
			"a -> b [type=fail]\na [type=memo value=1] b [type=sum]",
			[]string{"2 a memo awaits 0 inputs []", "2 b sum awaits 1 inputs [a]"},
		},
		"numbers, quoted and foreign names": {
			"1 [type=memo value=1] -1.5 [type=memo value=2] \"a b\" [type=memo value=3] ä [type=sum] 1 -> ä -1.5 -> ä \"a b\" " +
				"-> ä",
			[]string{"1 1 memo awaits 0 inputs []", "1 -1.5 memo awaits 0 inputs []", "1 a b memo awaits 0 inputs []",
				"1 ä sum awaits 3 inputs [1 -1.5 a b]"},
		},
		"quoted over two lines by a backslash": {
			"a [type=\"su\\\nm\" values=<[1\n]>]\n\nb [type=any]; a -> b",
			[]string{"1 a sum awaits 0 inputs []", "5 b any awaits 1 inputs [a]"},
		},
		"types in any case": {
			"a [type=SUM values=<[1]>]",
			[]string{"1 a sum awaits 0 inputs []"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := Parse(test.source)
			if test.want == nil {
				if err == nil {
					t.Fatal("parsed")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, shape(p)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestParseSortsInputs(t *testing.T) {
	t.Parallel()
	p := mustParse(t,
		"x [type=memo value=1]; y [type=memo value=1 index=2]; z [type=memo value=1 index=1]; w [type=memo value=1 "+
			"index=0]\ny -> m; x -> m; z -> m; w -> m; m [type=median]")
	if diff := cmp.Diff("2 m median awaits 4 inputs [x w z y]", shape(p)[4]); diff != "" {
		t.Error(diff)
	}
}

func TestParseValues(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ source, want string }{
		"bare":                          {`a [x=abc_1]`, `abc_1`},
		"number":                        {`a [x=-1.50]`, `-1.50`},
		"number with a leading point":   {`a [x=.5]`, `.5`},
		"quoted":                        {`a [x="a \"b\" \\ \n\t $(c) # // <>"]`, "a \"b\" \\ \n\t $(c) # // <>"},
		"quoted with an unknown escape": {`a [x="a\.b \"c\""]`, `"a\.b \"c\""`},
		"quoted with a raw line break":  {"a [x=\"{\n\\\"b\\\": 1}\"]", "\"{\n\\\"b\\\": 1}\""},
		"quoted, angle inside":          {`a [x="<b>"]`, `"<b>"`},
		"continuation":                  {"a [x=\"b\\\nc\"]", "bc"},
		"angle":                         {"a [x=<{\"b\":\n \"\\.\"}>]", "{\"b\":\n \"\\.\"}"},
		"angle with an inner angle":     {`a [x=<a <b> c>]`, `<a <b> c>`},
		"empty angle":                   {`a [x=<>]`, ``},
		"empty quotes":                  {`a [x=""]`, ``},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			drawn, _, err := draw(test.source)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, drawn.nodes[0].attribute("X").value); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	const ok = "ok [type=sum values=<[1]>]\n"
	for name, test := range map[string]struct{ source, want string }{
		"nothing":        {"", "the pipeline is empty"},
		"comments alone": {" // x\n# y\n/* z */", "the pipeline is empty"},
		"no type": {"a",
			`line 1: task a: attribute type: unknown task type: "": the task has no attributes; write a [type=…], or fix the name`},
		"no type among attributes": {"a [x=y]",
			`line 1: task a: attribute type: unknown task type: ""; the types are`},
		"unknown type": {"\na [type=sun]", `line 2: task a: attribute type: unknown task type: "sun"`},
		"type of another product": {"a [type=ethtx]",
			`line 1: task a: attribute type: task type ethtx is not supported: a feed's pipeline must not send transactions`},
		"call without a contract": {`a [type=ethcall data="0x01"]`,
			"attribute contract is required for a task of type ethcall"},
		"call of no address": {`a [type=ethcall contract=LINK data="0x01"]`,
			`line 1: task a: attribute contract: "LINK" is not an address, which is 0x and 40 hexadecimal digits`},
		"call without data": {`a [type=ethcall contract="0x00000000000000000000000000000000000000aa"]`,
			"attribute data is required"},
		"call of no data": {
			"a [type=ethcall contract=\"0x00000000000000000000000000000000000000aa\"\ndata=\"0x1\"]",
			`line 2: task a: attribute data: "0x1" is not the data of a call`},
		"call from nobody": {
			`a [type=ethcall contract="0x00000000000000000000000000000000000000aa" data="0x01" from=me]`,
			`attribute from: "me" is not an address`},
		"call on no chain": {
			`a [type=ethcall contract="0x00000000000000000000000000000000000000aa" data="0x01" evmChainID=mainnet]`,
			`attribute evmChainID: "mainnet" is not a chain's number`},
		"call at no block": {
			`a [type=ethcall contract="0x00000000000000000000000000000000000000aa" data="0x01" block=now]`,
			`attribute block: "now" is not a block, which is its number or latest`},
		"call with too much gas": {
			`a [type=ethcall contract="0x00000000000000000000000000000000000000aa" data="0x01" gas="1e20"]`,
			"attribute gas: a limit of gas is a whole number from 0 to 2^64-1"},
		"call with gas and without limit": {
			`a [type=ethcall contract="0x00000000000000000000000000000000000000aa" data="0x01" gas=5 gasUnlimited=true]`,
			"attribute gas: gas and gasUnlimited=true exclude each other"},
		"encoding without abi": {"a [type=ethabiencode]",
			"attribute abi is required for a task of type ethabiencode"},
		"encoding by no abi": {`a [type=ethabiencode abi="f(uint256)" data=<{}>]`,
			"line 1: task a: attribute abi: argument 1 has no name"},
		"encoding by a huge abi": {`a [type=ethabiencode abi="f(uint256[1000000000] a)" data=<{}>]`,
			"attribute abi: an array of 1000000000 elements"},
		"encoding without data": {`a [type=ethabiencode abi="f(uint256 x, bool y)"]`,
			"attribute data is required: a map with a value for each of the arguments x, y"},
		"encoding without an argument": {
			`a [type=ethabiencode abi="f(uint256 x, bool y)" data=<{"x": $(jb.databaseID)}>]`,
			"attribute data: argument y is missing"},
		"encoding what does not fit": {`a [type=ethabiencode abi="f(uint8 x)" data=<{"x": 256}>]`,
			"attribute data: argument x: the number does not fit uint8"},
		"encoding a list": {`a [type=ethabiencode abi="f(uint8 x)" data=<[1]>]`,
			"attribute data: the value must be a map in JSON, not a list"},
		"decoding nothing": {`a [type=ethabidecode abi="uint8 x"]`,
			"the task has nothing to work on: draw an arrow to it or set the attribute data"},
		"decoding no log": {`a [type=ethabidecodelog abi="E(uint8 indexed x)"]`,
			"attribute topics is required"},
		"decoding a log of no event": {`a [type=ethabidecodelog abi="(uint8 x)" topics="$(jb)"]`,
			"attribute abi: the event has no name"},
		"two words from one": {"1a [type=sum values=<[1]>]",
			`line 1: task 1: attribute type: unknown task type: ""`},
		"reserved name": {"input [type=sum values=<[1]>]",
			"line 1: task input: the name input is reserved"},
		"reserved root": {"jobRun [type=sum values=<[1]>]", "the name jobRun is reserved"},
		"same name quoted and plain": {ok + `"ok" [type=sum]; ok -> "ok"`,
			"line 2: task ok: another task has the same name"},
		"same index": {"a [type=memo value=1 index=1]\nb [type=sum\nindex=01]; a -> b",
			"line 3: task b: attribute index: duplicate sorting indexes: task a has the index 1 too"},
		"dash in a name":         {ok + "a-b [type=any]", `line 2: syntax error at "-" (column 2)`},
		"point in a name":        {ok + "a.b [type=any]", `line 2: syntax error at "." (column 2)`},
		"exponent":               {ok + "\na [type=multiply times=1e8]", `line 3: syntax error`},
		"underscore in a number": {ok + "a [type=multiply times=1_000]", `line 2: syntax error`},
		"single quotes":          {"a [type='sum']", `line 1: syntax error at "'" (column 9)`},
		"bare variable":          {"a [type=memo value=$(x)]", `line 1: syntax error at "$"`},
		"joined strings":         {`a [type="su"+"m"]`, `line 1: syntax error at "+"`},
		"keyword as a name":      {"node -> a", "line 1: syntax error at the arrow"},
		"attributes before an arrow": {ok + "a [type=any] -> ok",
			"line 2: syntax error at the arrow (column 14): an arrow joins two names"},
		"bracket not closed": {ok + "a [type=any\n\n", "line 4: the text ends inside a statement"},
		"quote not closed":   {ok + "a [type=\"any]\n\n", "line 2: the quoted string is not closed"},
		"angle not closed":   {ok + "a [type=<any]\n\n", "line 2: the angle bracket < has no matching >"},
		"angle too deep":     {ok + "a [type=<<<any>>>]", "line 2: the angle bracket < has no matching >"},
		"comment not closed": {ok + "/* b", "line 2: the comment /* is not closed"},
		"ends by dropped arrows": {"a [type=memo value=1]\n{a b} -> c\nb [type=memo value=2] c [type=median]",
			"line 3: task c: the pipeline must end in exactly one task, but 2 have no task after them (a, c): join them with " +
				"arrows into one task, such as a median; mind that the arrows of braces are dropped"},
		"a second graph":   {ok + "} digraph {", "line 2: the brace } closes nothing; remove it"},
		"brace not closed": {ok + "{a {\nb} -> ok\n", "line 2: the brace { is not closed; close it with }"},
		"brace too deep": {ok + strings.Repeat("{", 17) + "a" + strings.Repeat("}", 17),
			"line 2: braces nest deeper than 16"},
		"arrow to itself by a set": {"{a [type=median values=<[1]>]} -> a",
			"line 1: task a: an arrow leads from the task to itself"},
		"not UTF-8":       {ok + "a [x=\"\xff\"]", "line 2: the text is not valid UTF-8"},
		"NUL":             {ok + "a [x=\"\x00\"]", "line 2: the text has a NUL"},
		"arrow to itself": {ok + "ok -> ok", "line 2: task ok: an arrow leads from the task to itself"},
		"reference to itself": {"a [type=multiply\ninput=\"$(a.x)\" times=1]",
			"line 2: task a: attribute input: $(a.x) refers to the task itself"},
		"cycle": {"a [type=any]; b [type=any]\na -> b; b -> a",
			"line 1: task a: cycle detected among the tasks a, b"},
		"cycle through a variable": {"a [type=memo value=\"$(b)\"]; b [type=any]; a -> b",
			"cycle detected among the tasks a, b"},
		"two ends": {"a [type=memo value=1]\nb [type=memo value=1]",
			"line 2: task b: the pipeline must end in exactly one task, but 2 have no task after them (a, b)"},
		"too many inputs": {"a [type=memo value=1]; b [type=memo value=1]; c [type=multiply times=2]; a " +
			"-> c; b -> c", "line 1: task c: a task of type multiply takes at most 1 input, but 2 arrows lead to it"},
		"any without inputs":   {"a [type=any]", "takes at least 1 input, but 0 arrows"},
		"lookup without input": {"a [type=lookup key=x]", "takes exactly 1 input, but 0 arrows"},
		"nothing to work on": {"a [type=multiply times=2]",
			"task a: the task has nothing to work on: draw an arrow to it or set the attribute input"},
		"median of nothing": {"a [type=median]", "the task has nothing to work on"},
		"empty list":        {"a [type=sum values=<[]>]", "attribute values: the list is empty"},
		"times missing": {"a [type=multiply input=1]",
			"attribute times is required for a task of type multiply"},
		"url missing":  {"a [type=http]", "attribute url is required"},
		"name missing": {"a [type=bridge]", "attribute name is required"},
		"bad times": {"a [type=multiply input=1\ntimes=\"0x10\"]",
			`line 2: task a: attribute times: "0x10" is not a decimal number`},
		"variable inside a number": {ok + `a [type=multiply times="2$(ok)"]; ok -> a`,
			`attribute times: "2$(ok)" is not a decimal number`},
		"huge exponent": {`a [type=multiply input=1 times="1e999999999"]`,
			"attribute times: the number has more than 20000 digits, or an exponent outside ±1000"},
		"divisor zero": {`a [type=divide input=1 divisor="0.0"]`, "attribute divisor: divide by zero"},
		"huge precision": {`a [type=divide input=1 divisor=2 precision=1000000000]`,
			"attribute precision: \"1000000000\" is not an integer from -1000 to 1000"},
		"bad index": {"a [type=sum values=<[1]> index=1.5]",
			"attribute index: \"1.5\" is not an integer"},
		"index too large":  {"a [type=sum values=<[1]> index=2147483648]", "attribute index"},
		"negative retries": {"a [type=sum values=<[1]> retries=-1]", "attribute retries"},
		"empty timeout": {`a [type=sum values=<[1]> timeout=""]`,
			`attribute timeout: "" is not a duration`},
		"timeout without unit": {`a [type=sum values=<[1]> timeout=5]`,
			`attribute timeout: "5" is not a duration`},
		"negative timeout": {`a [type=sum values=<[1]> timeout="-5s"]`,
			`attribute timeout: "-5s" is not a duration`},
		"bad failEarly": {`a [type=sum values=<[1]> failearly=yes]`,
			`attribute failEarly: "yes" is neither true nor false`},
		"bad values": {`a [type=sum values=<[1,]>]`, `attribute values: the value is not JSON`},
		"values is a map": {`a [type=sum values=<{"a":1}>]`,
			`attribute values: the value must be a list in JSON, not a map`},
		"quoted variable in JSON": {ok + `a [type=sum values=<["$(ok)"]>]`,
			`attribute values: the value is not JSON; mind that each $(…) stands for a whole JSON value`},
		"several variables without brackets": {ok + `a [type=sum values="$(ok), $(ok)"]`,
			"attribute values: the value must be one variable alone or a list in JSON, such as [$(a), $(b)]"},
		"a variable and more for a map": {ok + `a [type=bridge name=b requestData="$(ok) x"]`,
			`attribute requestData: the value must be one variable alone or a map in JSON, such as {"x": $(a)}`},
		"angle brackets in angle brackets": {`a [type=bridge name=b requestData=<{"pair":"<LINK>"}>]`,
			"attribute requestData: the value is not JSON, since its angle brackets stay where there are others inside"},
		"angle brackets in quotes": {`a [type=sum values="<[1,2]>"]`,
			"attribute values: the value must be a list in JSON: quotes around angle brackets are a part of the value"},
		"multi-line JSON in quotes": {"a [type=bridge name=b requestData=\"{\n}\"]",
			"attribute requestData: the value is not JSON"},
		"variable of nothing": {`a [type=memo value="$(b.c)"]`,
			"attribute value: $(b.c) refers to nothing: there is no task b"},
		"variable of nothing in JSON": {`a [type=sum values=<[$(b)]>]`, "attribute values: $(b) refers to nothing"},
		"variable of older nodes": {`a [type=memo value="$(jobSpec.name)"]`,
			"attribute value: $(jobSpec.name) is called $(jb.name) today; write that"},
		"variable that jobs of today have not": {`a [type=memo value="$(jobSpec.evmChainID)"]`,
			"attribute value: $(jobSpec.evmChainID) refers to nothing: there is no task jobSpec, and a run sets jb."},
		"mistyped variable of the job": {`a [type=memo value="$(jb.nmae)"]`,
			"attribute value: $(jb.nmae) refers to nothing: a run sets jb.databaseID, jb.externalJobID, jb.name, "},
		"part of a variable of the job": {`a [type=memo value="$(jb.name.first)"]`, "$(jb.name.first) refers to nothing"},
		"variable of other runs": {`a [type=sum values=<[$(jobRun.requestBody)]>]`,
			"attribute values: $(jobRun.requestBody) refers to nothing"},
		"variable with an empty part": {ok + `a [type=memo value="$(ok..x)"]`,
			"attribute value: $(ok..x) has an empty part"},
		"variable that is none": {ok + `a [type=memo value="$(a b)"]; ok -> a`,
			"attribute value: $(a b) is not a variable"},
		"requestData is a list": {`a [type=http url="http://x" requestData=<[1]>]`,
			"attribute requestData: the value must be a map in JSON, not a list"},
		"odd headers": {`a [type=http url="http://x" headers=<["a"]>]`,
			"attribute headers: the list has 1 elements"},
		"header of a number": {`a [type=http url="http://x" headers=<["a", 1]>]`,
			"attribute headers: element 2 is a number, not a string"},
		"header with a line break": {`a [type=http url="http://x" headers=<["a", "s3cret\n"]>]`,
			"attribute headers: element 2 has characters that a header's value must not have"},
		"header's name with a blank": {`a [type=bridge name=b headers=<["a b", "c"]>]`,
			"attribute headers: element 1 is not a header's name"},
		"method with a blank": {`a [type=http url="http://x" method="GE T"]`, "attribute method"},
		"url without scheme": {`a [type=http url="example.com"]`,
			"attribute url: the URL must start with http:// or https://"},
		"url of a file": {`a [type=http url="file:///etc/passwd"]`,
			"attribute url: the URL must start with http:// or https://"},
		"asynchronous bridge": {`a [type=bridge name=b async=true]`,
			"attribute async: an asynchronous bridge cannot answer"},
		"bad bridge name": {`a [type=bridge name="b/c"]`, `attribute name: "b/c" is not a bridge's name`},
		"bad cacheTTL": {`a [type=bridge name=b cacheTTL=60]`,
			`attribute cacheTTL: "60" is not a duration`},
		"bad allowedFaults": {`a [type=median values=<[1]> allowedFaults=-1]`, `attribute allowedFaults`},
		"lax and countNilsAsFaults": {`a [type=median values=<[1]> lax=true countNilsAsFaults=true]`,
			"exclude each other"},
		"a key that hides a variable": {ok + `a [type=memo value=<{"x": {"loop\u0020variable":0}, "y": $(ok)}>]`,
			"attribute value: the value uses the key"},
		"the same key twice in JSON": {ok + `a [type=memo value=<{"a":$(ok), "a":1}>]`,
			"attribute value: an object has the same key twice"},
		"10,000 tasks": {nodes(10_000, ""),
			"line 1001: the pipeline has more than 1000 tasks; split it into several jobs"},
		"too large": {strings.Repeat(" ", maxSource+1),
			"the pipeline has 262145 bytes, and at most 262144 are allowed"},
		"too many arrows": {"{" + nodes(300, "") + "} -> {" + strings.ReplaceAll(nodes(300, ""), "n", "m") +
			"}", "line 1: the pipeline has more than 50000 arrows"},
		"too many attributes": {"a [" + manyAttributes(200) + "]", "more than 100 attributes"},
		"everything at once, all reported": {"a [type=sum\nindex=x]\nb [type=bridge]",
			"line 1: task a: the task has nothing to work on: draw an arrow to it or set the attribute values\nline 2: task " +
				"a: attribute index: \"x\" is not an integer from -2147483648 to 2147483647\nline 3: task b: attribute name is " +
				"required for a task of type bridge\nline 3: task b: the pipeline must end"},
		"more than anybody reads": {nodes(100, "[type=what]"), "there are more problems; fix these first"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Parse(test.source)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
			if err != nil && strings.Contains(err.Error(), "s3cret") {
				t.Errorf("the error shows a secret: %v", err)
			}
		})
	}
}

// One slip gives one error: nothing else is said of what follows from it.
func TestOneFaultIsOneProblem(t *testing.T) {
	t.Parallel()
	const tasks = "src [type=memo value=1]\nval [type=jsonparse]\none [type=multiply times=1]\n"
	for name, test := range map[string]struct{ source, want string }{
		"no number": {`a [type=divide input=1 divisor="abc"]`,
			`line 1: task a: attribute divisor: "abc" is not a decimal number; write a number or one variable $(…)`},
		"no number to divide": {`a [type=divide input="x" divisor=2]`,
			`line 1: task a: attribute input: "x" is not a decimal number; write a number or one variable $(…)`},
		"no gas": {
			`a [type=ethcall contract="0x00000000000000000000000000000000000000aa" data="0x01" gas=much]`,
			`line 1: task a: attribute gas: "much" is not a decimal number; write a number or one variable $(…)`},
		"no precision": {`a [type=divide input=1 divisor=2 precision=x]`,
			`line 1: task a: attribute precision: "x" is not an integer from -1000 to 1000`},
		"mistyped in the middle": {tasks + "src -> vla -> one",
			`line 4: task vla: attribute type: unknown task type: "": the task has no attributes; write vla [type=…], or fix the name; did you mean val?`},
		"mistyped at the start": {tasks + "scr -> val -> one",
			`line 4: task scr: attribute type: unknown task type: "": the task has no attributes; write scr [type=…], or fix the name; did you mean src?`},
		"mistyped at the end": {tasks + "src -> val -> nothing",
			`line 4: task nothing: attribute type: unknown task type: "": the task has no attributes; write nothing [type=…], or fix the name`},
		"arrow of a word processor": {tasks + "src → val -> one",
			`line 4: task →: attribute type: unknown task type: "": the task has no attributes; write → [type=…], or fix the name; an arrow is written ->`},
		"arrow of a greater-than": {tasks + "src => val", `line 4: syntax error at ">" (column 6): an arrow is written ->`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Parse(test.source)
			if diff := cmp.Diff(test.want, fmt.Sprint(err)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func nodes(n int, attributes string) string {
	var out strings.Builder
	for i := range n {
		fmt.Fprintf(&out, "n%d %s\n", i, attributes)
	}
	return out.String()
}

func manyAttributes(n int) string {
	var out strings.Builder
	for i := range n {
		fmt.Fprintf(&out, "a%d=b ", i)
	}
	return out.String()
}

func TestParseErrorsHoldProblems(t *testing.T) {
	t.Parallel()
	_, err := Parse("a [type=sum values=<[1]>\n timeout=1]")
	var problem *Problem
	if !errors.As(err, &problem) {
		t.Fatalf("%v holds no Problem", err)
	}
	want := &Problem{Line: 2, Task: "a", Attribute: "timeout", Message: `"1" is not a duration such as 5s, 500ms or 1m30s`}
	if diff := cmp.Diff(want, problem); diff != "" {
		t.Error(diff)
	}
}

func TestSyntaxErrorsHideValues(t *testing.T) {
	t.Parallel()
	for _, source := range []string{
		`a [type=http headers="Authorization" "s3cret"]`, `a [type=http headers=<s3cret> <s3cret>]`, "a [] [x] \"s3cret\"",
		"a -> [\"s3cret\"]",
	} {
		if _, err := Parse(source); err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("Parse(%s) = %v", source, err)
		}
	}
}

// Quotes within a quoted value mostly lost their backslashes in TOML, whose two kinds of text want different ones.
func TestQuotesInQuotes(t *testing.T) {
	t.Parallel()
	const written = `a [type=bridge name=b requestData="{\"data\":{\"from\":\"ETH\"}}"]`
	read := func(quotes, text string) (*Pipeline, error) {
		t.Helper()
		var spec struct{ Source string }
		if err := toml.Unmarshal([]byte("source = "+quotes+text+quotes), &spec); err != nil {
			t.Fatal(err)
		}
		return Parse(spec.Source)
	}
	_, err := read(`"""`, written)
	const want = `line 1: syntax error at a quoted string (column 42): a double quote in a quoted value ends it: write the ` +
		`value in <angle brackets>, or each quote in it as \", which a TOML text in """ has as \\\"`
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	for quotes, text := range map[string]string{
		`'''`: written,
		`"""`: strings.ReplaceAll(written, `\"`, `\\\"`),
	} {
		if _, err := read(quotes, text); err != nil {
			t.Errorf("what the hint says does not help in %s: %v", quotes, err)
		}
	}
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	p := mustParse(t,
		"a [type=http url=\"http://x\" urll=y\nmethod=get retries=1 note=\"\\.\"]\nb [type=jsonparse path=x "+
			"data=\"text\"]; a -> b\n"+
			"c [type=sum values=<[1] [2]>] {b c\nd} -> m {c}; d [type=memo value=<\"{}\">] m [type=divide divisor=1]; b -> m; "+
			"c -> m")
	want := []string{
		"line 2: task a: attribute note: the quoted value has a line break or an unknown escape, so it is used with its " +
			"quotes and backslashes; write it in <angle brackets>",
		"line 4: task b: the arrow of the braces is dropped for this task, since it is mentioned before them; write an " +
			"arrow of its own",
		"line 4: task c: the arrow of the braces is dropped for this task, since it is mentioned before them; write an " +
			"arrow of its own",
		"line 1: task a: attribute urll: no attribute of a task of type http, so it has no effect",
		"line 2: task a: attribute note: no attribute of a task of type http, so it has no effect",
		"line 3: task b: attribute data: only a variable $(…) counts here, so the text has no effect",
		"line 4: task c: attribute values: the text after the end of the JSON value has no effect",
		"line 5: task m: 3 arrows lead to the task, and only the first is divided: the one of the least index, then of the " +
			"first task in order; set the attribute input",
	}
	if diff := cmp.Diff(want, p.Warnings()); diff != "" {
		t.Error(diff)
	}
}

// Each value is used as it is written, which is not what it looks like.
func TestWarningsOfValues(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		`a [type=memo value="<[1,2]>"]`: "line 1: task a: attribute value: quotes around angle brackets are a part of the " +
			"value, and so are the brackets; write the brackets alone",
		`a [type=memo value="\"<b>\""]`: "",
		`a [type=http url="http://api.example/?id=$(jb.name)"]`: "line 1: task a: attribute url: $(jb.name) in a text " +
			"is used as it is written: only a value that is one variable and nothing else is replaced",
		`a [type=http url=" $( jb.name ) "]`: "",
	} {
		if got := strings.Join(mustParse(t, source).Warnings(), "\n"); got != want {
			t.Errorf("%s\ngot  %s\nwant %s", source, got, want)
		}
	}
}

func TestBridgesAndTasks(t *testing.T) {
	t.Parallel()
	p := mustParse(t,
		"c [type=bridge name=zeta]\na [type=bridge name=alpha]\nb [type=bridge name=zeta]\na -> m; b -> m; c -> m; m "+
			"[type=mode]")
	if diff := cmp.Diff([]string{"alpha", "zeta"}, p.Bridges()); diff != "" {
		t.Error(diff)
	}
	want := []Task{{"c", "bridge", 1}, {"a", "bridge", 2}, {"b", "bridge", 3}, {"m", "mode", 4}}
	if diff := cmp.Diff(want, p.Tasks()); diff != "" {
		t.Error(diff)
	}
}

func TestAwaits(t *testing.T) {
	t.Parallel()
	p := mustParse(t,
		`a [type=sum values=<[1]> index=2]; b [type=sum values=<[2]> index=1]; c [type=sum values="[$(a), 3]"]
		d [type=multiply times="$(c)" input="$(a)"]; a -> e; b -> e; d -> e; e [type=median]
		c -> f; f [type=any]; e -> g; f -> g; g [type=sum values="[$(e)]"]`)
	got := map[string]string{}
	for at, awaited := range p.Awaits() {
		for _, position := range awaited {
			got[p.Tasks()[at].ID] += p.Tasks()[position].ID
		}
	}
	want := map[string]string{"c": "a", "d": "ac", "e": "dba", "f": "c", "g": "ef"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestNamed holds that Named gives the order in which people wrote their tasks, which is not always one in which they
// run.
func TestNamed(t *testing.T) {
	t.Parallel()
	p, err := Parse(
		`last [type=median]; second [type=memo value="2"]; first [type=memo value="1"]; first -> second -> last`)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, at := range p.Named() {
		names = append(names, p.Tasks()[at].ID)
	}
	if d := cmp.Diff([]string{"last", "second", "first"}, names); d != "" {
		t.Error(d)
	}
	if last := p.Tasks()[p.Terminal()].ID; last != "last" {
		t.Errorf("the last task is %s", last)
	}
}

// TestParseIsBounded gives Parse the worst texts of the largest size. It counts the processor's time, which a busy
// machine does not lengthen, and so runs beside no other test of its process.
func TestParseIsBounded(t *testing.T) {
	fill := func(unit string) string { return strings.Repeat(unit, maxSource/len(unit)) }
	var dense strings.Builder // as many edges as a text can hold among the most tasks
	for i := 1; dense.Len() < maxSource-50; i++ {
		for j := max(0, i-20); j < i && dense.Len() < maxSource-50; j++ {
			fmt.Fprintf(&dense, "a%d->a%d ", j, i)
		}
		if i == maxTasks-1 {
			break
		}
	}
	for name, source := range map[string]string{
		"7,000 nodes":         nodes(7_000, "[type=sum values=<[1]>]"),
		"one long chain":      fill("a->b->"),
		"10,000 names":        nodes(10_000, ""),
		"brackets":            fill("a[]"),
		"open brackets":       fill("["),
		"braces":              fill("{"),
		"nested braces":       strings.Repeat("{", maxSource/2) + strings.Repeat("}", maxSource/2),
		"empty braces":        fill("{}"),
		"sets of the deepest": strings.Repeat("{", maxBraces) + "a [type=any]" + strings.Repeat("} -> b", maxBraces),
		"arrows of sets": "{" + nodes(maxTasks/2, "") + "} -> {" + strings.ReplaceAll(nodes(maxTasks/2, ""), "n", "m") +
			"}",
		"open angles":       fill("<"),
		"quotes":            fill(`"`),
		"quotes of a":       `a[x="` + fill(`\"`)[10:] + `"]`,
		"comments":          fill("/**/"),
		"open comment":      "/*" + fill("*")[3:],
		"minus":             fill("-"),
		"one name":          fill("a"),
		"one number":        fill("1"),
		"nested JSON":       "a[type=sum values=<" + fill("[")[30:] + ">]",
		"closed JSON":       "a[type=memo value=<" + fill("[")[maxSource/2+30:] + fill("]")[maxSource/2+30:] + ">]",
		"references":        "a[type=sum values=<[" + fill("$(a),")[50:] + "1]>]",
		"references of any": "a[x=\"" + fill("$(a)")[50:] + "\"]",
		"dollars":           "a[type=memo value=\"" + fill("$(")[50:] + "\"]",
		"dense":             dense.String(),
		"attributes":        "a[" + manyAttributes(25_000) + "]",
	} {
		t.Run(name, func(t *testing.T) {
			started := processorTime(t)
			_, err := Parse(source)
			took := processorTime(t) - started
			if err == nil && name != "closed JSON" {
				t.Error("parsed")
			}
			if err != nil && len(err.Error()) > 100_000 {
				t.Errorf("the error has %d bytes", len(err.Error()))
			}
			if took > 20*time.Second { // about 0.3 s at worst when it was written
				t.Errorf("took %s of the processor's time", took)
			}
		})
	}
}

// processorTime is what this process has had of the processors since it began.
func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		t.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// TestParseOfPrintedGraph draws graphs without cycles, prints them in the many ways of the grammar, and reads them
// back.
func TestParseOfPrintedGraph(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 12).Draw(t, "tasks")
		space := rapid.SampledFrom([]string{" ", "\n", "\t", " // c\n", " /* c\n */ ", " # c\n"})
		var out strings.Builder
		line := func() int { return 1 + strings.Count(out.String(), "\n") }
		want := make([]string, n)
		for i := range n {
			out.WriteString(space.Draw(t, "space"))
			at := line()
			inputs := []string{}
			fmt.Fprintf(&out, "t%d [type=%s", i,
				rapid.SampledFrom([]string{"median", `"median"`, "<median>", "MEDIAN"}).Draw(t, "type"))
			out.WriteString(space.Draw(t, "space"))
			if i == 0 {
				out.WriteString("values = <[1]>")
			}
			out.WriteString("]" + rapid.SampledFrom([]string{"", ";"}).Draw(t, "end"))
			if i > 0 {
				for j := range i {
					if j == i-1 || rapid.Bool().Draw(t, "edge") {
						inputs = append(inputs, fmt.Sprintf("t%d", j))
						fmt.Fprintf(&out, "%st%d %s t%d", space.Draw(t, "space"),
							j, rapid.SampledFrom([]string{"->", "--"}).Draw(t, "arrow"), i)
					}
				}
			}
			want[i] = fmt.Sprintf("%d t%d median awaits %d inputs [%s]", at, i, len(inputs), strings.Join(inputs, " "))
		}
		p, err := Parse(out.String())
		if err != nil {
			t.Fatalf("%s\n%v", out.String(), err)
		}
		if diff := cmp.Diff(want, shape(p)); diff != "" {
			t.Fatalf("%s\n%s", out.String(), diff)
		}
	})
}
