package main

import (
	"fmt"
	"regexp"
	"strings"

	"google.golang.org/protobuf/compiler/protogen"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
)

// introduction is the text above what the proto file says, with ” for backquotes.
var introduction = strings.ReplaceAll(`# The operator's API

This page is generated from ”proto/%s” by ”make generate”: every method of the API that the command
line uses. The API is [Connect](https://connectrpc.com): gRPC clients can call it, and so can curl with JSON, on the
node's unix socket or over TCP with a token:

”””sh
curl --unix-socket ~/.local/share/loop/loop.sock http://localhost/%[2]s/ListJobs \
    -H 'content-type: application/json' -d '{}'
curl http://127.0.0.1:6688/%[2]s/ShowJob \
    -H 'content-type: application/json' -H "authorization: Bearer $TOKEN" -d '{"id": 1}'
”””

[configure.md](configure.md#http-and-the-api) says where the API listens and how to create a token. In JSON, names of
fields are in camel case (”specToml”), 64-bit integers are strings, bytes are base64, and fields that have their default
are left out.

`, "”", "`")

// page is the page so far, and the types that have a heading on it.
type page struct {
	strings.Builder
	file  *protogen.File
	nodes map[protoreflect.FullName]bool // types that have a heading
}

// write returns the page of a service.
func write(file *protogen.File, service *protogen.Service) (string, error) {
	p := &page{file: file, nodes: map[protoreflect.FullName]bool{}}
	ends := map[protoreflect.FullName]bool{} // requests and responses, which stand with their methods
	for _, m := range service.Methods {
		ends[m.Input.Desc.FullName()], ends[m.Output.Desc.FullName()] = true, true
	}
	for _, m := range file.Messages {
		p.nodes[m.Desc.FullName()] = !ends[m.Desc.FullName()]
	}
	for _, e := range file.Enums {
		p.nodes[e.Desc.FullName()] = true
	}

	fmt.Fprintf(p, introduction, file.Desc.Path(), service.Desc.FullName())
	p.WriteString(wrapped(comment(service.Comments)) + "\n| method | role | what it does |\n| --- | --- | --- |\n")
	var methods []method
	for _, m := range service.Methods {
		told, err := describe(m)
		if err != nil {
			return "", err
		}
		methods = append(methods, told)
		fmt.Fprintf(p, "| [%s](#%s) | %s | %s |\n", told.name, strings.ToLower(told.name), told.role, cell(told.first))
	}
	p.WriteString("\n## Methods\n")
	for _, m := range methods {
		p.method(m)
	}
	p.WriteString("\n## Messages\n")
	for _, m := range file.Messages {
		if p.nodes[m.Desc.FullName()] {
			p.heading(string(m.Desc.Name()), comment(m.Comments))
			p.fields("field", m)
		}
	}
	for _, e := range file.Enums {
		p.heading(string(e.Desc.Name()), comment(e.Comments))
		p.WriteString("\n| value | meaning |\n| --- | --- |\n")
		for _, v := range e.Values {
			fmt.Fprintf(p, "| `%s` | %s |\n", v.Desc.Name(), cell(comment(v.Comments)))
		}
	}
	return p.String(), nil
}

// method is what the page says about a method.
type method struct {
	*protogen.Method
	name, role, text, first, errors, effect string
}

var (
	// role stands in the first sentence of a method that viewers may not call.
	role = regexp.MustCompile(`^(\w+), for the role ([A-Z]+), `)
	// fault begins the paragraph of a method's own errors.
	fault = regexp.MustCompile(`(?s)\n\nErrors: (.*)$`)
)

// describe reads a method's comment.
func describe(m *protogen.Method) (method, error) {
	told := method{Method: m, name: string(m.Desc.Name()), role: "view", text: comment(m.Comments)}
	if parts := role.FindStringSubmatch(told.text); parts != nil {
		told.role = strings.ToLower(parts[2])
		told.text = parts[1] + " " + strings.TrimPrefix(told.text, parts[0])
	}
	if parts := fault.FindStringSubmatch(told.text); parts != nil {
		told.errors = parts[1]
		told.text = strings.TrimSuffix(told.text, parts[0])
	}
	begin := told.name + " "
	if !strings.HasPrefix(told.text, begin) {
		return told, fmt.Errorf("the comment of %s begins with %q; begin it with the method's name and what it does",
			told.name, strings.SplitN(told.text, "\n", 2)[0])
	}
	told.text = capital(strings.TrimPrefix(told.text, begin))
	told.first, _, _ = strings.Cut(strings.ReplaceAll(told.text, "\n", " "), ". ")
	told.first = strings.TrimSuffix(told.first, ".")
	switch m.Desc.Options().(*descriptorpb.MethodOptions).GetIdempotencyLevel() {
	case descriptorpb.MethodOptions_NO_SIDE_EFFECTS:
		told.effect = "no side effects"
	case descriptorpb.MethodOptions_IDEMPOTENT:
		told.effect = "idempotent"
	default:
		told.effect = "none"
	}
	return told, nil
}

func (p *page) method(m method) {
	p.heading(m.name, m.text)
	fmt.Fprintf(p, "\nRole: `%s`. Idempotency: %s.\n", m.role, m.effect)
	if m.errors != "" {
		p.WriteString("\n" + wrapped("Errors: "+m.errors))
	}
	p.fields("request", m.Input)
	if m.Desc.IsStreamingServer() {
		p.fields("response, a stream", m.Output)
	} else {
		p.fields("response", m.Output)
	}
}

func (p *page) heading(name, text string) {
	fmt.Fprintf(p, "\n### %s\n\n%s", name, wrapped(text))
}

// fields writes a table of a message's fields, unless it has none.
func (p *page) fields(title string, m *protogen.Message) {
	if len(m.Fields) == 0 {
		return
	}
	fmt.Fprintf(p, "\n| %s | type | meaning |\n| --- | --- | --- |\n", title)
	for _, f := range m.Fields {
		fmt.Fprintf(p, "| `%s` | %s | %s |\n", f.Desc.Name(), p.kind(f), cell(comment(f.Comments)))
	}
}

// kind is a field's type, with a link if the page tells of it.
func (p *page) kind(f *protogen.Field) string {
	kind := f.Desc.Kind().String()
	var named protoreflect.Descriptor
	switch {
	case f.Message != nil:
		named = f.Message.Desc
	case f.Enum != nil:
		named = f.Enum.Desc
	}
	if named != nil {
		kind = string(named.Name())
		if p.nodes[named.FullName()] {
			kind = fmt.Sprintf("[%s](#%s)", kind, strings.ToLower(kind))
		}
	}
	if f.Desc.IsList() {
		return "list of " + kind
	}
	return kind
}

// comment returns the text of a leading comment.
func comment(set protogen.CommentSet) string {
	var lines []string
	for line := range strings.SplitSeq(strings.TrimSpace(string(set.Leading)), "\n") {
		lines = append(lines, strings.TrimSpace(line))
	}
	return strings.Join(lines, "\n")
}

// width is how many columns a line of the page has at most, outside of tables.
const width = 120

// wrapped is a text of paragraphs in lines.
func wrapped(text string) string {
	var lines strings.Builder
	for at, paragraph := range strings.Split(text, "\n\n") {
		if at > 0 {
			lines.WriteString("\n")
		}
		column := 0
		for _, word := range strings.Fields(paragraph) {
			switch {
			case column == 0:
			case column+1+len(word) > width:
				lines.WriteString("\n")
				column = 0
			default:
				lines.WriteString(" ")
				column++
			}
			lines.WriteString(word)
			column += len(word)
		}
		lines.WriteString("\n")
	}
	return lines.String()
}

// cell is a text within a table.
func cell(text string) string {
	return strings.NewReplacer("\n\n", "<br>", "\n", " ", "|", `\|`, "<", "&lt;").Replace(text)
}

// capital writes the first letter of a text as a capital.
func capital(text string) string { return strings.ToUpper(text[:1]) + text[1:] }
