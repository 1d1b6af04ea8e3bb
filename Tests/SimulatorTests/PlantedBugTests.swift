import Testing

@testable import Simulator

@Suite("Every planted bug is found for certain")
struct PlantedBugTests {
    @Test("a promise holds, and the planted bug breaks it", arguments: PlantedScenario.all)
    func found(scenario: PlantedScenario) {
        #expect(!scenario.isBroken(nil), "without the bug")
        #expect(scenario.isBroken(scenario.bug), "with the bug")
    }

    @Test("every planted bug has one scenario")
    func complete() {
        #expect(PlantedScenario.all.count == PlantedBug.allCases.count)
        #expect(Set(PlantedScenario.all.map(\.bug)) == Set(PlantedBug.allCases))
    }
}
