package job

import (
	"math"
	"math/big"
	"strings"
	"time"

	"github.com/loop-plugins/loop/host/internal/config"
	"github.com/loop-plugins/loop/host/internal/pipeline"
)

// PluginConfig is the pluginConfig of a median job.
type PluginConfig struct {
	JuelsPerFeeCoinSource  string
	JuelsPerFeeCoin        *pipeline.Pipeline
	JuelsPerFeeCoinCache   Cache
	GasPriceSubunitsSource string             // empty if the job observes no gas price
	GasPriceSubunits       *pipeline.Pipeline // nil if the job observes no gas price
	DeviationFunc          *DeviationFunc     // nil means relative deviation in parts per billion
}

// Cache configures how the price of the fee coin is kept between observations. It is used unless the spec disables it.
type Cache struct {
	Disable                 bool
	UpdateInterval          time.Duration // 5m if the spec has none
	StalenessAlertThreshold time.Duration // 24h if the spec has none; an older price is used, and logged louder
}

// DeviationFunc replaces the test of whether an answer has moved enough.
type DeviationFunc struct {
	Type       string    // "pendle"
	ExpiresAt  time.Time // in whole seconds and their fraction, UTC
	Multiplier *big.Int  // 1e18 if the spec has none
}

const (
	defaultUpdateInterval = 5 * time.Minute
	defaultStaleness      = 24 * time.Hour
)

var updateIntervalBounds = config.Range[time.Duration]{Min: 30 * time.Second, Max: 20 * time.Minute}

// pluginConfig reads pluginConfig.
func (d *document) pluginConfig(t table) PluginConfig {
	var read PluginConfig
	before := len(d.report.Problems)
	read.JuelsPerFeeCoinSource = t.text("juelsPerFeeCoinSource")
	switch {
	case len(d.report.Problems) > before:
	case strings.TrimSpace(read.JuelsPerFeeCoinSource) == "":
		d.problem(t.line("juelsPerFeeCoinSource"), "pluginConfig.juelsPerFeeCoinSource",
			`invalid juelsPerFeeCoinSource pipeline: it is missing or empty; a constant is written as zero [type="sum" values=<[0]>]`)
	default:
		read.JuelsPerFeeCoin = d.pipeline(t, "juelsPerFeeCoinSource", "invalid juelsPerFeeCoinSource pipeline: ",
			read.JuelsPerFeeCoinSource)
	}
	if source := t.text("gasPriceSubunitsSource"); strings.TrimSpace(source) != "" {
		read.GasPriceSubunitsSource = source
		read.GasPriceSubunits = d.pipeline(t, "gasPriceSubunitsSource", "invalid gasPriceSubunitsSource pipeline: ", source)
	}
	read.JuelsPerFeeCoinCache = d.cache(t.sub("juelsPerFeeCoinCache"))
	if _, ok := t.spelled("deviationFunc"); ok {
		read.DeviationFunc = d.deviationFunc(t.sub("deviationFunc"))
	}
	t.leftovers([]string{"juelsPerFeeCoinSource", "gasPriceSubunitsSource", "juelsPerFeeCoinCache", "deviationFunc"}, nil)
	return read
}

func (d *document) cache(t table) Cache {
	read := Cache{
		Disable: t.flag("disable"), UpdateInterval: t.duration("updateInterval"),
		StalenessAlertThreshold: t.duration("stalenessAlertThreshold"),
	}
	if read.UpdateInterval != 0 && !updateIntervalBounds.Contains(read.UpdateInterval) {
		d.problem(t.line("updateInterval"), t.pathOf("updateInterval"), "%s is outside %s–%s", read.UpdateInterval,
			updateIntervalBounds.Min, updateIntervalBounds.Max)
	}
	if read.StalenessAlertThreshold < 0 {
		d.problem(t.line("stalenessAlertThreshold"), t.pathOf("stalenessAlertThreshold"),
			"%s is negative; leave the key out for %s", read.StalenessAlertThreshold, defaultStaleness)
	}
	if read.UpdateInterval == 0 {
		read.UpdateInterval = defaultUpdateInterval
	}
	if read.StalenessAlertThreshold == 0 {
		read.StalenessAlertThreshold = defaultStaleness
	}
	t.leftovers([]string{"disable", "updateInterval", "stalenessAlertThreshold"}, nil)
	return read
}

func (d *document) deviationFunc(t table) *DeviationFunc {
	read := &DeviationFunc{Type: t.text("type"), Multiplier: new(big.Int).Exp(big.NewInt(10), big.NewInt(18), nil)}
	if read.Type != "pendle" {
		d.problem(t.line("type"), t.pathOf("type"),
			"unknown deviation function %q; write type = \"pendle\", or leave the table out", read.Type)
	}
	expires, _ := t.lookup("expiresAt")
	seconds, ok := expires.(float64)
	if whole, isWhole := expires.(int64); isWhole {
		seconds, ok = float64(whole), true
	}
	// Beyond the year 9999 a time has no text form; a value in milliseconds lands there too.
	if !ok || !(seconds > 0 && seconds < 253402300800) {
		d.problem(t.line("expiresAt"), t.pathOf("expiresAt"), "want a time in seconds since 1970, such as 1893456000.0")
	} else {
		whole, fraction := math.Modf(seconds)
		read.ExpiresAt = time.Unix(int64(whole), int64(fraction*1e9)).UTC()
	}
	if multiplier := t.text("multiplier"); multiplier != "" {
		if !number.MatchString(multiplier) || multiplier == "0" {
			d.problem(t.line("multiplier"), t.pathOf("multiplier"), "%q is not a positive whole number in decimal digits",
				multiplier)
		} else {
			read.Multiplier.SetString(multiplier, 10)
		}
	}
	t.leftovers([]string{"type", "expiresAt", "multiplier"}, nil)
	return read
}
