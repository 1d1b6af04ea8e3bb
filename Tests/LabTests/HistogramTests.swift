import Base
import Testing

@testable import Lab

@Suite("Measures")
struct HistogramTests {
    @Test(
        "buckets follow one another, and none is wider than 1/128 of its values"
    )
    func buckets() {
        var previous: UInt64?
        for index in 0...Histogram.index(of: Histogram.largest) {
            let highest = Histogram.highest(in: index)
            let lowest = previous.map { $0 + 1 } ?? 0
            #expect(Histogram.index(of: lowest) == index)
            #expect(Histogram.index(of: highest) == index)
            #expect(highest - lowest <= lowest / 128)
            previous = highest
        }
        #expect(previous == Histogram.largest)
    }

    @Test("quantiles are those of the sorted values, to within 1/128 above")
    func quantiles() throws {
        var random = PRNG(seed: 1)
        var histogram = Histogram()
        let values = (0..<10_000).map { _ in random.next() >> UInt64(24 + random.below(32)) }
            .sorted()
        for value in values { histogram.record(value) }
        for (share, index) in [(0.5, 4999), (0.99, 9899), (0.999, 9989), (1.0, 9999), (0.0001, 0)] {
            let exact = values[index]
            let found = try #require(histogram.quantile(share))
            #expect(found >= exact && found <= exact + exact / 128)
        }
        #expect(histogram.count == 10_000)
        #expect(histogram.maximum == values.last)
        #expect(histogram.quantile(1) == values.last)
    }

    @Test(
        "an empty histogram has no quantile, and the longest durations are counted as the longest")
    func edges() {
        var histogram = Histogram()
        #expect(histogram.quantile(0.5) == nil)
        histogram.record(.max)
        #expect(histogram.quantile(0.5) == Histogram.largest)
        #expect(histogram.maximum == .max)
    }

    @Test(
        "Wilson's band, against published values",
        arguments: [
            // Newcombe (1998), table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29.
            (81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611),
            (1, 29, 0.0061, 0.1718),
        ])
    func wilson(events: Int, trials: Int, low: Double, high: Double) {
        let band = ShareEstimate(events: events, trials: trials).band
        #expect((band.low - low).magnitude < 0.0001)
        #expect((band.high - high).magnitude < 0.0001)
    }

    @Test("without trials nothing is known")
    func noTrials() {
        let estimate = ShareEstimate(events: 0, trials: 0)
        #expect(estimate.share == nil)
        #expect(estimate.band == (0, 1))
    }
}
