package node

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/loop-plugins/loop/gen/go/loop/median/v1/medianv1loophost"
	productv1 "github.com/loop-plugins/loop/gen/go/loop/product/v1"
	"github.com/loop-plugins/loop/gen/go/loop/product/v1/productv1loophost"
	"github.com/loop-plugins/loop/host/internal/config"
	"github.com/loop-plugins/loop/host/internal/job"
	"github.com/loop-plugins/loop/host/internal/product"
	"github.com/loop-plugins/loop/sdk/go/loophost"
)

// products are the products that a node has as plugins of their own, by the plugins' names. It implements job.Products.
type products map[string]*offered

var _ job.Products = products{}

// offered is a product and the process that serves it.
type offered struct {
	*product.Product
	plugin *productv1loophost.Product
}

// Products implements job.Products.
func (k products) Products() []string { return slices.Sorted(maps.Keys(k)) }

// Runs implements job.Products.
func (k products) Runs(name string) (versions []int, providerTypes []string, found bool) {
	p := k[name]
	if p == nil {
		return nil, nil, false
	}
	return p.Versions(), p.ProviderTypes(), true
}

// ValidateProductJob implements job.Products.
func (k products) ValidateProductJob(ctx context.Context, name string,
	r *productv1.ValidateProductJobRequest) (*productv1.ValidateProductJobResponse, error) {
	if k[name] == nil {
		return nil, status.Errorf(codes.NotFound, "there is no product %q", name)
	}
	return k[name].ValidateJob(ctx, r)
}

// reporter is the plugin that reports for a job: a median or a product. A bootstrap job has none.
type reporter struct {
	median  *medianv1loophost.Median
	product *offered
}

// plugin is the reporter's; nil, if there is none.
func (r reporter) plugin() *loophost.Plugin {
	switch {
	case r.median != nil:
		return r.median.Plugin
	case r.product != nil:
		return r.product.plugin.Plugin
	}
	return nil
}

// reporter is the reporter that all jobs of the spec's kind share, or why there is none.
func (p *plugins) reporter(s *job.Spec) (reporter, error) {
	switch {
	case s.Type != job.TypeOCR2:
		return reporter{}, nil
	case s.Product != nil:
		if of := p.products[s.Product.Name]; of != nil {
			return reporter{product: of}, nil
		}
		return reporter{}, fmt.Errorf("this node has no plugin for the product %s: name one by %s", s.Product.Name,
			variable(s.Product.Name))
	case p.median == nil:
		return reporter{}, errors.New("this node has no plugin for the product median: name one by " + variable(kindMedian))
	}
	return reporter{median: p.median}, nil
}

// launchAlone starts a process of the reporter for one job. A patient one may be down at first.
func (r reporter) launchAlone(ctx context.Context, n *Node, job int64, patient bool) (reporter, error) {
	shared := r.plugin().Name()
	settings := n.pluginSettings(shared, n.settings.Config.Environment.Plugins[shared], r.plugin().Status().Kind)
	settings.Name, settings.Patient = ownName(shared, job), patient
	if r.median != nil {
		median, err := medianv1loophost.LaunchMedian(ctx, n.runtime, settings)
		return reporter{median: median}, err
	}
	plugin, err := productv1loophost.LaunchProduct(ctx, n.runtime, settings)
	if err != nil {
		return reporter{}, err
	}
	return reporter{product: &offered{r.product.Product, plugin}}, nil
}

// offer starts a plugin of a product, and asks it what it is.
func (n *Node) offer(ctx context.Context, s loophost.PluginSettings) (*launched, error) {
	plugin, err := productv1loophost.LaunchProduct(ctx, n.runtime, s)
	if err != nil {
		return nil, err
	}
	p, err := product.Ask(ctx, s.Name, plugin.ProductServiceClient)
	if err != nil {
		plugin.Close(context.WithoutCancel(ctx))
		return nil, err
	}
	n.remember(ctx, s.Name, kindProduct, p)
	return &launched{name: s.Name, product: &offered{p, plugin}}, nil
}

// restoreProduct uses the earlier description of a product whose plugin does not start.
func (n *Node) restoreProduct(ctx context.Context, name string, c config.Plugin, stored []byte) (*launched, error) {
	settings := n.pluginSettings(name, c, kindProduct)
	settings.Patient = true
	plugin, err := productv1loophost.LaunchProduct(ctx, n.runtime, settings)
	if err != nil {
		return nil, err
	}
	p, err := product.Restore(name, plugin.ProductServiceClient, stored)
	if err != nil {
		plugin.Close(context.WithoutCancel(ctx))
		return nil, err
	}
	return &launched{name: name, product: &offered{p, plugin}}, nil
}

// offeredAgain asks a product whose plugin was replaced for its description again. Jobs run as they were checked until
// the node is restarted.
func (p *plugins) offeredAgain(ctx context.Context, of *offered) {
	now, err := product.Ask(ctx, of.Plugin(), of.plugin.ProductServiceClient)
	if err == nil &&
		(!slices.Equal(now.Versions(), of.Versions()) || !slices.Equal(now.ProviderTypes(), of.ProviderTypes())) {
		err = fmt.Errorf("plugin %s ran on OCR %d with providers of the types %s, and runs on OCR %d with %s now",
			of.Plugin(), of.Versions(), of.ProviderTypes(), now.Versions(), now.ProviderTypes())
	}
	if err != nil {
		p.node.logger.Error("the description of a replaced plugin cannot be used; restart the node", "plugin",
			of.Plugin(), "error", err)
		return
	}
	p.node.remember(ctx, of.Plugin(), kindProduct, now)
}
