package main

import "google.golang.org/protobuf/compiler/protogen"

// hostSide generates what a host calls and exports.
func hostSide(p *protogen.Plugin, f *protogen.File, c *contract) {
	var wanted []*service
	for _, ps := range f.Services {
		s := c.services[string(ps.Desc.FullName())]
		if len(s.constructors) > 0 || s.kind == kindHostService {
			wanted = append(wanted, s)
		}
	}
	if len(wanted) == 0 {
		return
	}
	g := begin(p, f, "loophost", "is the host's side of "+string(f.Desc.Package())+
		": typed plugins and objects, and exports of host services.")
	for _, s := range wanted {
		if s.kind == kindHostService {
			export(g, s)
			continue
		}
		maker(g, s)
		if s.kind == kindPlugin {
			launch(g, s)
		}
		for _, m := range s.proto.Methods {
			if k := s.constructors[m]; k != nil {
				child(g, s, k)
			}
		}
	}
}

func export(g *protogen.GeneratedFile, s *service) {
	g.P("// Export", s.name(), " makes impl an object of the host that can be lent to plugins.")
	g.P("func Export", s.name(), "(r *", loophostPackage.Ident("Runtime"), ", impl ",
		s.file.GoImportPath.Ident(s.proto.GoName+"Server"), ") *", loophostPackage.Ident("Export"), " {")
	g.P("return r.Export(&", s.file.GoImportPath.Ident(s.proto.GoName+"_ServiceDesc"), ", impl)")
	g.P("}")
	g.P()
}

// maker generates a service's client whose constructors return handles.
func maker(g *protogen.GeneratedFile, s *service) {
	n := s.proto.GoName
	g.P("// ", n,
		" calls the service of a plugin's object. Its constructors return handles at once: the runtime makes the object,")
	g.P("// and makes it again when its process was replaced.")
	g.P("type ", n, " struct {")
	g.P("maker ", loophostPackage.Ident("Maker"))
	g.P(clientType(s))
	g.P("}")
	g.P()
	g.P("// New", n, " returns the client of m.")
	g.P("func New", n, "(m ", loophostPackage.Ident("Maker"), ") ", n, " { return ", n, "{maker: m, ", n, "Client: ",
		newClient(g, s), "(m)} }")
	g.P()
}

func launch(g *protogen.GeneratedFile, s *service) {
	n := s.name()
	g.P("// ", n, " is a running plugin of kind ", s.pluginKind, ".")
	g.P("type ", n, " struct {")
	g.P("*", loophostPackage.Ident("Plugin"))
	g.P(s.proto.GoName)
	g.P("}")
	g.P()
	g.P("// Launch", n, " starts a plugin of kind ", s.pluginKind, " and waits until its first generation is ready.")
	g.P("func Launch", n, "(ctx ", contextPackage.Ident("Context"), ", r *", loophostPackage.Ident("Runtime"), ", s ",
		loophostPackage.Ident("PluginSettings"), ") (*", n, ", error) {")
	g.P("p, err := r.Launch(ctx, ", gluePackage(s.file, "loop").Ident(n+"Kind"), "(), s)")
	g.P("if err != nil {")
	g.P("return nil, err")
	g.P("}")
	g.P("return &", n, "{Plugin: p, ", s.proto.GoName, ": New", s.proto.GoName, "(p)}, nil")
	g.P("}")
	g.P()
}

func child(g *protogen.GeneratedFile, s *service, k *constructor) {
	out := g.QualifiedGoIdent(k.method.Output.GoIdent)
	g.P("// ", k.object, " is the host's handle of an object that ", k.method.GoName, " makes.")
	g.P("type ", k.object, " struct {")
	g.P("*", loophostPackage.Ident("Object"))
	for _, cs := range k.creates {
		if len(cs.constructors) > 0 {
			g.P(gluePackage(cs.file, "loophost").Ident(cs.proto.GoName))
			continue
		}
		g.P(clientType(cs))
	}
	g.P("}")
	g.P()
	g.P("// Created waits until the object was made for the first time, or cannot be, and returns the constructor's " +
		"answer.")
	g.P("func (o *", k.object, ") Created(ctx ", contextPackage.Ident("Context"), ") (*", out, ", error) {")
	g.P("return ", loophostPackage.Ident("Created"), "[*", out, "](ctx, o.Object)")
	g.P("}")
	g.P()
	loansStruct(g, k, "are lent to the new "+k.object+" for its lifetime.", func(*loan) string {
		return g.QualifiedGoIdent(loophostPackage.Ident("Lendable"))
	})
	comment(g, k.method.Comments)
	g.P("func (s ", s.proto.GoName, ") ", k.method.GoName, "(request *", k.method.Input.GoIdent, loansParameter(k),
		", options ...", loophostPackage.Ident("CreateOption"), ") *", k.object, " {")
	g.P("request = ", protoPackage.Ident("CloneOf"), "(request)")
	g.P("request.", k.name.GoName, " = ", loophostPackage.Ident("NewName"), "(", quoted(k.object), ")")
	g.P("o := s.maker.Create(", loophostPackage.Ident("Constructor"), "{")
	g.P("Method: ", s.file.GoImportPath.Ident(s.proto.GoName+"_"+k.method.GoName+"_FullMethodName"), ",")
	g.P("Name: request.", k.name.GoName, ",")
	g.P("Type: ", quoted(k.object), ",")
	g.P("Request: request,")
	g.P("Response: func() ", protoPackage.Ident("Message"), " { return new(", out, ") },")
	g.P("Services: []string{")
	for _, cs := range k.creates {
		g.P(quoted(string(cs.proto.Desc.FullName())), ",")
	}
	g.P("},")
	if len(k.loans) > 0 {
		g.P("Loans: []", loophostPackage.Ident("Loan"), "{")
		for _, l := range k.loans {
			g.P("{Field: ", quoted(string(l.field.Desc.Name())), ", Lent: loans.", l.field.GoName,
				", Set: func(name string) { request.", l.field.GoName, " = name }, Services: []string{")
			for _, ls := range l.services {
				g.P(quoted(string(ls.proto.Desc.FullName())), ",")
			}
			g.P("}},")
		}
		g.P("},")
	}
	g.P("}, options...)")
	g.P("return &", k.object, "{Object: o,")
	for _, cs := range k.creates {
		if len(cs.constructors) > 0 {
			g.P(cs.proto.GoName, ": ", gluePackage(cs.file, "loophost").Ident("New"+cs.proto.GoName), "(o),")
			continue
		}
		g.P(cs.proto.GoName, "Client: ", newClient(g, cs), "(o),")
	}
	g.P("}")
	g.P("}")
	g.P()
}
