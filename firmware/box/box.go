// Package box is the composition root: it builds the box out of its parts, wires them, runs them and takes them down
// in order. It is the only package that knows nearly all others, and it holds no logic that one of them could hold.
package box

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"holdfast/firmware/admin"
	"holdfast/firmware/certs"
	"holdfast/firmware/cloud"
	"holdfast/firmware/config"
	"holdfast/firmware/control"
	"holdfast/firmware/emergency"
	"holdfast/firmware/mode"
	"holdfast/firmware/notice"
	"holdfast/firmware/outbox"
	"holdfast/firmware/provision"
	"holdfast/firmware/record"
	"holdfast/firmware/snapshot"
	"holdfast/firmware/webhook"
	"holdfast/media/prompt"
	"holdfast/media/relay"
	"holdfast/sip/access"
	"holdfast/sip/b2bua"
	"holdfast/sip/registrar"
	"holdfast/sip/site"
	"holdfast/sip/stack"
	"holdfast/sip/trunk"
)

// Box is one running Holdfast.
type Box struct {
	cfg     *config.Config
	version string
	log     *slog.Logger
	started time.Time

	site      atomic.Pointer[site.Site]
	snapshot  *snapshot.File
	registrar *registrar.Registrar
	stack     *stack.Stack
	access    *access.Server
	trunks    *trunk.Set
	relay     *relay.Relay
	prompts   *prompt.Set
	calls     *b2bua.Agent
	modes     *modes
	prober    *cloud.Prober
	documents *provision.Provisioner
	outbox    *outbox.Box
	records   *record.Log
	page      *admin.Server // nil: off
	tail      admin.Tail
	journal   *emergency.Journal
	notices   *notice.Engine
	webhook   *webhook.Sender // nil: none
	pinned    *pins
	desk      *deskBell
	unclaimed atomic.Pointer[b2bua.EmergencyEvent] // the last alarm about a callback that answers no call known here
	codecs    *codecs
	budget    budget
	watching
	gateways gateways
	inHelp   func() []netip.Addr // where the phones are that call for help; nil: nobody does
	strays   strays
	hardware
	saving  sync.Mutex // see saveBindings
	ram     string     // folder of what a crash must not lose
	storage []string   // what is wrong with folders and files, since the start

	// What calls do for emergencies; nil: they do not.
	ringer         notice.Ringer
	messenger      notice.Messenger
	pins           func() []control.Pin
	emergencyDrill func(context.Context, control.EmergencyDrillOrder, func(control.DrillStep)) error

	phoneCert, trunkCert atomic.Pointer[tls.Certificate]
	certFiles            sync.Mutex                        // one order for keys and certificates at a time
	authorities          atomic.Pointer[certs.Authorities] // of the SBC's certificate
	certFaults           certFaults
	nameFault            atomic.Pointer[string] // why the box does not answer for its name; nil: it does, or need not
	settings             settings               // as they stand in the boot file now
	closers              []func() error
}

// New builds the box and opens its files and listeners; nothing is served before Run. Every fault of the settings that
// only shows here (a missing file, an address that is not this machine's) is in the error, in plain words.
func New(cfg *config.Config, version string, log *slog.Logger) (*Box, error) {
	b := &Box{cfg: cfg, version: version, started: time.Now()}
	b.log = slog.New(b.tail.Handler(log.Handler()))
	err := errors.Join(b.buildSyslog(), b.openFolders(), b.startCertificates())
	for _, build := range []func() error{b.openState, b.buildTrace, b.buildRecords, b.buildMode, b.buildMedia, b.buildSIP, b.buildHealth, b.buildPanel, b.buildEmergencies, b.buildDocuments, b.buildReports, b.buildAdmin, b.listen} {
		if err != nil {
			break
		}
		err = build()
	}
	if err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

// openState opens the snapshot in RAM.
func (b *Box) openState() error {
	f, report, err := snapshot.Open(filepath.Join(b.ram, "snapshot"))
	if err != nil {
		return err
	}
	b.snapshot = f
	b.closers = append(b.closers, f.Close)
	if report.Fault != "" {
		b.log.Warn("part of the snapshot was ignored", "fault", report.Fault)
	}
	return nil
}

func (b *Box) buildMode() error {
	names := make([]string, len(b.cfg.Cloud.Zones))
	for i, z := range b.cfg.Cloud.Zones {
		names[i] = z.Name
	}
	m, err := mode.New(mode.Settings{Zones: names, Missed: b.cfg.Cloud.Missed, HoldOff: b.cfg.Cloud.HoldOff, Resume: b.resume()}, time.Now())
	if err != nil {
		return err
	}
	b.modes = newModes(m, b.log, b.vacant, b.modeChanged)
	pool := b.trusted("cloud", b.cfg.Cloud.Roots, "the cloud counts as gone, and the box serves the phones")
	b.prober = cloud.New(b.cfg.Cloud, pool, b.modes.probe, b.log)
	return nil
}

func (b *Box) buildMedia() error {
	var err error
	if b.budget, err = shareDescriptors(b.cfg); err != nil {
		return err
	}
	if b.budget.short != "" {
		b.log.Warn(b.budget.short)
	}
	r, err := relay.New(relay.Config{
		AccessAddr: b.cfg.Phones.MediaAddress, TrunkAddr: b.cfg.Trunk.MediaAddress,
		PortMin: b.cfg.Media.PortMin, PortMax: b.cfg.Media.PortMax, Drain: b.cfg.Media.Drain, Silence: b.cfg.Media.Silence,
		Reserved: b.budget.reserved, DSCP: b.cfg.Media.DSCPMedia, SharedKeys: b.cfg.Media.SharedKeys, Log: b.log,
	})
	if err != nil {
		return err
	}
	b.relay = r
	b.prompts, err = prompt.Default()
	return err
}

func (b *Box) buildSIP() error {
	b.registrar = registrar.New(registrar.Options{MaxBindings: 2 * b.cfg.Phones.MaxConnections})
	b.stack = stack.New(stack.Options{
		Log: b.log, DSCP: b.cfg.Media.DSCPSIP, Limits: stack.Limits{Connections: b.budget.connections},
		OnRequest: b.request, OnClosed: b.connClosed, Authorize: b.authorize,
		OnAck: func(c *stack.Conn, r *stack.Request) { b.calls.Ack(c, r) }, Trace: b.tracer(),
		Urgent:   func(c *stack.Conn, r *stack.Request) bool { return b.calls.Urgent(c, r) },
		OnStray:  func(c *stack.Conn, r *stack.Response) { b.calls.Stray(c, r) },
		OnCancel: func(c *stack.Conn, r *stack.Request) (string, bool) { return b.calls.Cancel(c, r) },
	})
	b.trunks = trunk.New(trunk.Options{Stack: b.stack, Roots: b.sbcRoots, Log: b.log,
		InUse:       func(id string) bool { return b.calls != nil && b.calls.HelpOn(id) },
		Certificate: func() (*tls.Certificate, error) { return b.trunkCert.Load(), nil }})
	b.access = access.New(access.Options{Log: b.log, Site: b.site.Load, Gate: b.gate, Registrar: b.registrar,
		Persist: b.saveBindings, OnRefused: b.strays.note, InCall: func(c *stack.Conn) bool { return b.calls.Busy(c) },
		OnRegistered: func(userID string, phones int) {
			b.calls.PhoneBack(userID)
			b.codecs.registered(userID)
			b.reports.Phone(userID, phones, time.Now())
		}})
	b.pinned = openPins(b.ram, b.log)
	b.pins = b.pinned.list
	b.desk, b.codecs = newDesk(b), newCodecs(b)
	b.calls = b2bua.New(b2bua.Options{Log: b.log, Stack: b.stack, Media: anchor{b.relay, b.prompts}, Trunks: b.trunks,
		Site: b.site.Load, Policy: b.policy, Authenticate: b.access.Authenticate, Known: b.access.Known, Prove: b.access.Prove, OnEnd: b.callEnded,
		IsTrunk: func(c *stack.Conn, id string) bool { return b.trunks.Is(id, c.PeerCertificate()) },
		Dialogs: dialogs{b}, OnLeg: b.traceLeg(), SharedKeys: b.cfg.Media.SharedKeys,
		ELINs: b.pinned.table, SavePins: b.pinned.save, OnEmergency: b.emergencyStep, OnCut: b.desk.ring, OnCodecs: b.codecs.heard,
		Bindings: func(id string) []registrar.Binding { return b.registrar.Bindings(time.Now(), id) }})
	b.inHelp = b.calls.HelpSources
	if b.ringer == nil {
		b.ringer, b.messenger = bells{b}, bells{b}
	}
	return nil
}

func (b *Box) listen() error {
	phones := &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return b.phoneCert.Load(), nil }}
	return errors.Join(
		listening("phones.listen", b.stack.Listen(stack.Access, b.cfg.Phones.Listen, phones)),
		listening("trunk.listen", b.stack.Listen(stack.Trunk, b.cfg.Trunk.Listen, trunk.ServerConfig(func() (*tls.Certificate, error) { return b.trunkCert.Load(), nil }, b.sbcRoots))),
	)
}

// Run serves until ctx ends or a part fails.
//
// Order at the end: first what asks for work (probes, control, documents), then the calls with BYE on both sides, then
// what they stand on: trunks, transport, media; files last.
func (b *Box) Run(ctx context.Context) error {
	defer b.close()
	front, frontCtx := errgroup.WithContext(ctx)
	baseCtx, stopBase := context.WithCancel(context.Background())
	defer stopBase()
	var base sync.WaitGroup
	failed := make(chan error, 32) // room for all parts
	under := func(name string, run func(context.Context) error) {
		base.Go(func() {
			if err := run(baseCtx); err != nil {
				failed <- fmt.Errorf("%s: %w", name, err)
			} else if baseCtx.Err() == nil {
				failed <- fmt.Errorf("%s ended by itself", name)
			}
		})
	}
	under("media", b.relay.Run)
	under("SIP", b.stack.Run)
	under("trunks", b.trunks.Run)
	under("modes", b.modes.run)
	b.runHardware(under)
	under("outbox", b.outbox.Run)
	under("records", b.records.Run)
	b.runWatching(under)
	under("clock", b.rememberTime)
	under("certificates", b.renewCertificates)
	under("settings", b.followSettings)
	under("own name", b.answerForName)
	b.resumeEmergencies(b.restoreDialogs())
	b.gatewaysBack()
	under("security desk", b.desk.run)
	under("codecs of phones", b.codecs.run)
	under("emergency records", func(ctx context.Context) error { return b.journal.Follow(ctx, onCard, b.emergencyToCard) })
	under("emergency housekeeping", b.tidyEmergencies)
	under("notices", b.notices.Run)
	if b.webhook != nil {
		under("webhook", func(ctx context.Context) error { return b.journal.Follow(ctx, webhook.Kind, b.webhook.Follow) })
		under("webhook delivery", func(ctx context.Context) error { return b.outbox.Deliver(ctx, webhook.Kind, b.webhook.Deliver) })
	}
	front.Go(func() error {
		awaitAddress(frontCtx, b.cfg.Phones.MediaAddress, addressWithin)
		return b.prober.Run(frontCtx)
	})
	front.Go(func() error { return b.documents.Run(frontCtx) })
	front.Go(func() error { return b.housekeeping(frontCtx) })
	front.Go(func() error {
		return b.insist(frontCtx, "control socket", func() error { return control.Serve(frontCtx, b.cfg.RunDir, b) })
	})
	if b.page != nil {
		front.Go(func() error {
			return b.insist(frontCtx, "admin page", func() error { return b.page.Run(frontCtx) })
		})
	}
	front.Go(func() error { return b.insist(frontCtx, "metrics", func() error { return b.serveMetrics(frontCtx) }) })
	front.Go(func() error {
		select {
		case err := <-failed:
			return err
		case <-frontCtx.Done():
			return nil
		}
	})
	stopHUP := b.onHangup(frontCtx)
	defer stopHUP()
	b.log.Info("holdfast is up", "phones", b.cfg.Phones.Listen.String(), "trunk", b.cfg.Trunk.Listen.String(), "mode", b.modes.state().Mode.String(),
		"site", b.site.Load().Doc().Site.ID, "serial", b.site.Load().Doc().Serial)
	err := front.Wait()
	b.log.Info("holdfast is stopping")
	b.goodbye()
	stopBase()
	base.Wait()
	return err
}

// How long the end may take: the calls' BYEs, and their way out of the connections.
const (
	byesWithin    = 3 * time.Second
	hangUpsWithin = 2 * time.Second
)

// goodbye ends every call with BYE, and closes the connections once what was written has left them. A phone that does
// not answer holds nobody up.
func (b *Box) goodbye() {
	within(byesWithin, b.calls.Stop)
	within(hangUpsWithin, func() {
		var all sync.WaitGroup
		for _, c := range b.stack.Conns() {
			all.Go(c.Hangup)
		}
		all.Wait()
	})
}

// within waits for do, but not longer than d; do runs on to its own end.
func within(d time.Duration, do func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		do()
	}()
	select {
	case <-done:
	case <-time.After(d):
	}
}

// insist runs what people look through, and again when it fails: a taken port is no reason to end calls.
func (b *Box) insist(ctx context.Context, what string, run func() error) error {
	for ctx.Err() == nil {
		err := run()
		if ctx.Err() != nil {
			break
		}
		b.log.Error(what+" is not there; it is tried again", "err", err, "in", insistEvery)
		select {
		case <-ctx.Done():
		case <-time.After(insistEvery):
		}
	}
	return nil
}

const insistEvery = 10 * time.Second

func (b *Box) close() {
	for i := len(b.closers) - 1; i >= 0; i-- {
		if err := b.closers[i](); err != nil {
			b.log.Error("close", "err", err)
		}
	}
	b.closers = nil
}
