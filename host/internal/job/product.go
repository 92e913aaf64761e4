package job

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	productv1 "github.com/loop-plugins/loop/gen/go/loop/product/v1"
	"github.com/loop-plugins/loop/host/internal/pipeline"
	"github.com/loop-plugins/loop/sdk/go/document/keys"
)

// Product is the part of a job spec for a product's plugin (PluginProduct).
type Product struct {
	Name         string // of the product's plugin, in lower case
	OCRVersion   int    // 2 or 3; 0 if neither the job names one nor the product is known
	ProviderType string // as the relayer's CreateProvider has it; may be empty as OCRVersion may be 0
	// ConfigJSON is the whole pluginConfig as JSON, for the product.
	ConfigJSON []byte
	// Pipelines are the pipelines that the product may run, by unique names; the empty name is that of
	// observationSource.
	Pipelines []Pipeline
}

// Pipeline is one pipeline of a product's job.
type Pipeline struct {
	Name     string
	Key      string             // of its text in the spec
	Pipeline *pipeline.Pipeline // nil if the spec has one that cannot be read
}

// maxPipelineName bounds the name of a pipeline, as RunRequest does.
const maxPipelineName = 128

// observationName is how people call the pipeline that has no name.
const observationName = "observationSource"

func (p *Product) sources() []Source {
	var all []Source
	for _, one := range p.Pipelines {
		all = append(all, Source{cmp.Or(one.Name, observationName), one.Key, one.Pipeline})
	}
	return all
}

// product is the name of what reports for the job.
func (s *Spec) product() string {
	if s.Product != nil {
		return s.Product.Name
	}
	return PluginMedian
}

// product reads the keys of a product's pluginConfig that the node itself needs. It is nil if the product has no name:
// then nobody can tell what the other keys mean.
func (d *document) product(t table, spec *Spec, s Settings) *Product {
	read := &Product{Name: strings.ToLower(t.text("pluginName"))}
	for _, refused := range []struct{ key, suffix string }{{"command", "CMD"}, {"envVars", "ENV"}} {
		if _, given := t.lookup(refused.key); given {
			d.problem(t.line(refused.key), t.pathOf(refused.key),
				"a job does not say what runs on the node's machine: set CL_%s_%s in the node's environment, and remove the key",
				strings.ToUpper(cmp.Or(read.Name, "<NAME>")), refused.suffix)
		}
	}
	if _, given := t.lookup("telemetryType"); given {
		d.warning(t.line("telemetryType"), t.pathOf("telemetryType"),
			"this key has no effect: the node sends no telemetry of products")
	}
	read.OCRVersion, read.ProviderType = t.version(), t.text("providerType")
	read.Pipelines = d.pipelines(t, spec)
	read.ConfigJSON = t.encode("the product", nil)
	switch {
	case read.Name == "":
		d.problem(t.line("pluginName"), t.pathOf("pluginName"), "the key is missing or empty: name the plugin of the product")
		return nil
	case read.Name == PluginMedian:
		d.problem(t.line("pluginName"), t.pathOf("pluginName"),
			"for a median write pluginType = \"median\", and its own pluginConfig")
		return nil
	}
	if s.Products != nil {
		if versions, providers, ok := s.Products.Runs(read.Name); ok {
			read.OCRVersion = cmp.Or(read.OCRVersion, versions[0])
			read.ProviderType = cmp.Or(read.ProviderType, providers[0])
		}
	}
	return read
}

// runs checks that the node has the product, and that the product runs on what the job names.
func (d *document) runs(p *Product, s Settings) {
	if s.Products == nil {
		return
	}
	on := func(key, format string, arguments ...any) {
		key = keys.Join("pluginConfig", key)
		d.problem(d.index.Line(key), key, format, arguments...)
	}
	versions, providers, ok := s.Products.Runs(p.Name)
	switch {
	case !ok && s.Offline: // the node may have it
	case !ok:
		have := "none"
		if all := s.Products.Products(); len(all) > 0 {
			have = strings.Join(all, ", ")
		}
		on("pluginName", "no such product: %q; this node has %s, and CL_<NAME>_CMD names the plugin of another", p.Name, have)
	case !slices.Contains(versions, p.OCRVersion):
		on("OCRVersion", "the product %s does not run on OCR%d; it runs on %s", p.Name, p.OCRVersion, listed(versions))
	case !slices.Contains(providers, p.ProviderType):
		on("providerType", "the product %s does not run with a provider of type %q; it runs with %s",
			p.Name, p.ProviderType, strings.Join(providers, " and "))
	}
}

func listed(versions []int) string {
	var all []string
	for _, version := range versions {
		all = append(all, "OCR"+strconv.Itoa(version))
	}
	return strings.Join(all, " and ")
}

// version reads OCRVersion; 0 means that the job names none.
func (t table) version() int {
	value, given := t.lookup("OCRVersion")
	number, whole := value.(int64)
	switch {
	case !given:
		return 0
	case !whole:
		t.mismatch("OCRVersion", "the number 2 or 3", value)
		return 0
	case number != 2 && number != 3:
		t.problem(t.line("OCRVersion"), t.pathOf("OCRVersion"), "this node does not run OCR%d; write 2 or 3", number)
		return 0
	}
	return int(number)
}

// pipelines reads the pipelines of a product: observationSource, if there is one, and those of pluginConfig.
func (d *document) pipelines(t table, spec *Spec) []Pipeline {
	var all []Pipeline
	if spec.Observation != nil {
		all = append(all, Pipeline{"", observationName, spec.Observation})
	}
	value, given := t.lookup("pipelines")
	list, isList := value.([]any)
	if given && !isList {
		t.mismatch("pipelines", `a list, such as [{name = "backup", spec = "…"}]`, value)
	}
	for at, element := range list {
		path := fmt.Sprintf("%s[%d]", t.pathOf("pipelines"), at)
		values, ok := element.(map[string]any)
		if !ok {
			t.mismatchAt(path, `a table with name and spec`, element)
			continue
		}
		one := newTable(d, path, values)
		name, source := one.text("name"), one.text("spec")
		taken := slices.ContainsFunc(all, func(p Pipeline) bool { return p.Name == name })
		switch {
		case name == "":
			d.problem(one.line("name"), one.pathOf("name"),
				"the key is missing or empty; the pipeline without a name is observationSource")
		case name == observationName:
			d.problem(one.line("name"), one.pathOf("name"), "this name is taken: it is the pipeline above the tables")
		case len(name) > maxPipelineName:
			d.problem(one.line("name"), one.pathOf("name"), "the name has %d bytes, and at most %d are taken", len(name),
				maxPipelineName)
		case taken:
			d.problem(one.line("name"), one.pathOf("name"), "the name %q is that of another pipeline too", name)
		}
		if strings.TrimSpace(source) == "" {
			d.problem(one.line("spec"), one.pathOf("spec"), "the key is missing or empty: it is the pipeline's text")
		} else {
			all = append(all, Pipeline{name, one.pathOf("spec"), d.pipeline(one, "spec", "", source)})
		}
		one.leftovers([]string{"name", "spec"}, nil)
	}
	return all
}

// found reports whether a product is there to be asked.
func found(products Products, name string) bool {
	if products == nil {
		return false
	}
	_, _, ok := products.Runs(name)
	return ok
}

// askProduct has the product check the job, and adds its problems to the report. While the product cannot be asked, a
// stored job still runs: the product checks it again when it makes the job's factory.
func (d *document) askProduct(ctx context.Context, spec *Spec, s Settings) {
	of := spec.Product
	if !found(s.Products, of.Name) ||
		slices.ContainsFunc(of.Pipelines, func(p Pipeline) bool { return p.Pipeline == nil }) {
		return
	}
	request := &productv1.ValidateProductJobRequest{
		OcrVersion: productv1.OcrVersion(of.OCRVersion), ProviderType: of.ProviderType, PluginConfigJson: of.ConfigJSON,
	}
	for _, p := range of.Pipelines {
		request.Pipelines = append(request.Pipelines, p.Name)
	}
	response, err := s.Products.ValidateProductJob(ctx, of.Name, request)
	line := d.index.Line("pluginConfig.pluginName")
	switch {
	case err == nil:
	case s.Validation != nil:
		d.warning(line, "pluginConfig.pluginName", "the product cannot check the job now, and did so before: %s",
			unasked(err))
	default:
		d.problem(line, "pluginConfig.pluginName", "the product cannot check the job: %s", unasked(err))
	}
	for _, p := range response.GetProblems() {
		key := cmp.Or(p.GetPath(), "pluginConfig")
		d.problem(d.index.Line(key), key, "%s", p.GetMessage())
	}
	for _, p := range response.GetWarnings() {
		key := cmp.Or(p.GetPath(), "pluginConfig")
		d.warning(d.index.Line(key), key, "%s", misplaced("pluginConfig", p))
	}
}
